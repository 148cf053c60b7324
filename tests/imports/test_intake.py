"""Accepting an import: everything of a bundle is kept as work, or nothing is."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bulkcert.capacity.bundle_checks import BundleChecks
from bulkcert.errors import (
    EmptyBundle,
    IdempotencyKeyReused,
    NotAZip,
    Refusal,
    TooManyChecks,
    TooManyRequests,
)
from bulkcert.imports import intake
from bulkcert.imports.intake import ImportIntake
from bulkcert.values.bulk_requests import ImportOrder, OnConflict, RequestKind, RequestState, new_request_id
from bulkcert.values.events import EventType
from bulkcert.values.identities import IdentityType
from bulkcert.values.limits import Limits
from bulkcert.values.principals import Caller
from tests.builders import NOW, PASSWORD, a_bundle, a_credentials_file, a_pkcs12, a_zip
from tests.verbs import Verbs

SERIALS = ("A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH")


def test_an_accepted_import_waits_with_all_its_items(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle(SERIALS, extra={"readme.md": b"", "__MACOSX/._x.p12": b""}))

    assert request.state is RequestState.PENDING
    assert (request.counts.total, request.counts.done, request.counts.ignored) == (5, 0, 2)
    assert [item.identity for item in verbs.items(request)] == list(SERIALS)
    assert all(item.result is None for item in verbs.items(request))


@pytest.mark.parametrize(
    ("bundle", "refusal"), [(b"not a zip", NotAZip), (a_zip({"a.txt": b"x=y\n"}), EmptyBundle)]
)
def test_a_bundle_that_is_refused_leaves_nothing(verbs: Verbs, bundle: bytes, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        verbs.accept(bundle)

    with verbs.store.reading() as tx:
        assert tx.events.list() == ()
        assert tx.chunks.is_work_waiting(NOW) is False


def test_a_crash_while_accepting_leaves_nothing(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> bytes:
        raise RuntimeError("the power is gone")

    monkeypatch.setattr(verbs.vault, "seal", fail)
    with pytest.raises(RuntimeError):
        verbs.accept(a_bundle(SERIALS))

    with verbs.store.reading() as tx:
        assert tx.events.list() == ()


def test_what_waits_in_the_database_is_sealed(verbs: Verbs) -> None:
    canary = "canary-password-4711"
    pkcs12 = a_pkcs12(SERIALS[0], canary)
    verbs.accept(a_bundle(SERIALS[:1], password=canary, files={SERIALS[0]: pkcs12}))

    with verbs.store.engine.connect() as connection:
        dump = "\n".join(map(repr, connection.exec_driver_sql("SELECT * FROM chunks").all())).encode()
        dump += repr(connection.exec_driver_sql("SELECT * FROM items").all()).encode()
    assert canary.encode() not in dump
    assert repr(pkcs12[100:140])[2:-1].encode() not in dump


def test_items_that_cannot_be_opened_fail_at_once_and_the_rest_wait(verbs: Verbs) -> None:
    bundle = a_zip(
        {
            "A12BC3D4EFGH.p12": a_pkcs12(),
            "short.p12": a_pkcs12(),
            "D12BC3D4EFGH.p12": b"x" * 70_000,
            "credential.txt": a_credentials_file(
                {
                    "A12BC3D4EFGH": PASSWORD,
                    "short": PASSWORD,
                    "D12BC3D4EFGH": PASSWORD,
                    "E12BC3D4EFGH": PASSWORD,
                }
            ),
        }
    )
    request = verbs.accept(bundle)

    assert verbs.codes(request) == {
        "A12BC3D4EFGH": None,
        "short": "invalid_identity",
        "D12BC3D4EFGH": "too_large",
        "E12BC3D4EFGH": "no_pkcs12",
    }
    assert (request.counts.total, verbs.intake.wait(request.id, 0).counts.failed) == (4, 3)


def test_an_import_whose_items_all_failed_at_once_is_finished(verbs: Verbs) -> None:
    request = verbs.accept(a_zip({"short.p12": b"x", "credential.txt": b"short.p12=x\n"}))

    assert request.state is RequestState.FAILED
    assert request.finished_at == NOW
    assert request.counts.done == request.counts.failed == 1
    with verbs.store.reading() as tx:
        assert [event.type for event in tx.events.list()] == [
            EventType.IMPORT_ACCEPTED,
            EventType.IMPORT_FINISHED,
        ]


def test_the_same_bundle_joins_the_import_that_still_runs(verbs: Verbs) -> None:
    bundle = a_bundle(SERIALS)

    def join(content: bytes, conflict: OnConflict = OnConflict.REPLACE) -> str:
        order = ImportOrder(IdentityType.SERIAL_NUMBER, None, conflict)
        return verbs.intake.join_or_accept(io.BytesIO(content), order, verbs.caller).id

    first = join(bundle)
    assert join(bundle) == first
    assert join(bundle, OnConflict.KEEP) != first
    assert join(a_bundle(SERIALS)) != first
    verbs.work()
    assert join(bundle) != first


def test_waiting_ends_when_the_import_does_or_the_time_is_over(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle(SERIALS[:1]))

    assert verbs.intake.wait(request.id, 0.01).state is RequestState.PENDING
    verbs.work()
    assert verbs.intake.wait(request.id, 60).state is RequestState.SUCCEEDED


def test_many_items_wait_in_several_chunks(verbs: Verbs) -> None:
    pkcs12 = a_pkcs12()
    serials = [f"SERIAL{number:06}" for number in range(120)]
    request = verbs.accept(a_bundle(serials, files=dict.fromkeys(serials, pkcs12)))

    with verbs.store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM chunks").scalar_one() == 3
    assert request.counts.total == 120


@pytest.mark.parametrize(("entries", "chunks"), [(120, 3), (2400, 20), (9000, 45)])
def test_a_larger_bundle_has_larger_chunks_up_to_a_limit(entries: int, chunks: int) -> None:
    portions = list(intake._portions(range(entries)))  # type: ignore[arg-type]

    assert len(portions) == chunks
    assert [entry for portion in portions for entry in portion] == list(range(entries))


def test_request_ids_sort_by_time(verbs: Verbs) -> None:
    ids = []
    for _ in range(50):
        verbs.clock.pass_by(milliseconds=1)
        ids.append(new_request_id(verbs.clock()))

    assert ids == sorted(ids)
    assert {text[14] for text in ids} == {"7"}
    assert {text[19] for text in ids} <= set("89ab")


def test_a_bundle_sent_again_after_a_deletion_is_a_new_import(verbs: Verbs) -> None:
    bundle = a_bundle(SERIALS)
    order = ImportOrder(IdentityType.SERIAL_NUMBER)
    first = verbs.intake.join_or_accept(io.BytesIO(bundle), order, verbs.caller)
    verbs.deletions.delete(SERIALS[:2], IdentityType.SERIAL_NUMBER, verbs.caller)
    second = verbs.intake.join_or_accept(io.BytesIO(bundle), order, verbs.caller)
    verbs.work()

    assert second.id != first.id
    assert set(verbs.codes(second).values()) <= {"created", "unchanged"}


def test_the_database_is_free_while_a_bundle_is_read(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    seal = verbs.vault.seal
    written: list[int] = []

    def seal_and_write(*arguments: Any) -> bytes:
        with verbs.store.writing() as tx:
            written.append(tx.draw_ids("chunks", 1)[0])
        return seal(*arguments)

    monkeypatch.setattr(verbs.vault, "seal", seal_and_write)
    verbs.accept(a_bundle(SERIALS))

    assert written


# --- sent again ---


def test_the_same_key_with_the_same_bundle_is_one_import_for_a_day(any_verbs: Verbs) -> None:
    verbs, bundle = any_verbs, a_bundle(SERIALS)
    order = ImportOrder(IdentityType.SERIAL_NUMBER)

    def send(key: str, content: bytes = bundle, order: ImportOrder = order) -> str:
        return verbs.intake.accept(io.BytesIO(content), order, verbs.caller, key).id

    first = send("a")
    assert send("a") == first
    assert send("b") != first
    verbs.work()
    assert send("a") == first  # finished or not
    for other in (a_bundle(SERIALS), a_bundle(SERIALS[:1])):
        with pytest.raises(IdempotencyKeyReused):
            send("a", other)
    with pytest.raises(IdempotencyKeyReused):
        send("a", order=replace(order, validate_only=True))
    verbs.clock.pass_by(hours=24)
    assert send("a") != first


def test_a_key_belongs_to_its_caller(verbs: Verbs) -> None:
    bundle, order = a_bundle(SERIALS), ImportOrder(IdentityType.SERIAL_NUMBER)
    first = verbs.intake.accept(io.BytesIO(bundle), order, verbs.caller, "a")
    other = replace(verbs.caller, principal_id=2, login="other")

    assert verbs.intake.accept(io.BytesIO(bundle), order, other, "a").id != first.id


def test_a_key_that_comes_many_times_at_once_is_one_import(any_verbs: Verbs) -> None:
    verbs, bundle = any_verbs, a_bundle(SERIALS)
    order = ImportOrder(IdentityType.SERIAL_NUMBER)
    together = threading.Barrier(8)

    def send(_: int) -> str:
        together.wait(30)
        return verbs.intake.accept(io.BytesIO(bundle), order, verbs.caller, "a").id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(8)))) == 1
    with verbs.store.reading() as tx:
        assert len(tx.requests.page(RequestKind.IMPORT, 100, None).items) == 1


# --- how much may wait ---


@pytest.mark.parametrize(
    ("limits", "other_is_refused"),
    [
        (Limits(waiting_imports=2), False),
        (Limits(waiting_bytes=5000), False),
        (Limits(waiting_bytes_of_all=5000), True),
    ],
    ids=["imports", "bytes", "bytes of all"],
)
def test_more_work_than_may_wait_is_refused_until_some_is_done(
    verbs: Verbs, limits: Limits, other_is_refused: bool
) -> None:
    intake = ImportIntake(verbs.store, verbs.vault, limits, verbs.clock)
    order = ImportOrder(IdentityType.SERIAL_NUMBER)
    other = replace(verbs.caller, principal_id=2, login="other")

    def send(caller: Caller) -> None:
        intake.accept(io.BytesIO(a_bundle(SERIALS)), order, caller)

    send(verbs.caller)
    send(verbs.caller)
    with pytest.raises(TooManyRequests) as refused:
        send(verbs.caller)
    assert refused.value.retry_after > 0
    if other_is_refused:
        with pytest.raises(TooManyRequests):
            send(other)
    else:
        send(other)
    verbs.work()
    send(verbs.caller)


def test_a_bundle_is_checked_when_its_turn_comes_and_refused_when_it_does_not(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkcert.capacity.bundle_checks.WAIT_SECONDS", 0.05)
    checks = BundleChecks(most=2, most_of_principal=1)
    accept = ImportIntake(verbs.store, verbs.vault, Limits(), verbs.clock, checks=checks).accept
    order = ImportOrder(IdentityType.SERIAL_NUMBER, None, OnConflict.REPLACE)

    with checks.hold(verbs.caller), pytest.raises(TooManyChecks):
        accept(io.BytesIO(a_bundle()), order, verbs.caller)
    with checks.hold(replace(verbs.caller, principal_id=7)):
        assert accept(io.BytesIO(a_bundle()), order, verbs.caller).counts.total == 1
