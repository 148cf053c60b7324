"""What a worker does with waiting items: open, judge, keep, and count exactly."""

import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bulkcert.errors import AlreadyFinished, Crashed, ItemRefusal, NotStorable, Unavailable
from bulkcert.errors.file_kinds import FileKind
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.imports.chunk_work import MOST_ATTEMPTS_ALONE, MOST_ATTEMPTS_TOGETHER, ChunkWorker
from bulkcert.integrity.key_seals import open_key
from bulkcert.store import migration
from bulkcert.store.certificates.certificates import Certificates
from bulkcert.store.imports.requests import QueuedWork
from bulkcert.store.store import Store
from bulkcert.values.bulk_requests import BulkRequest, Item, OnConflict, RequestState
from bulkcert.values.certificates import (
    CertificateFilter,
    CertificateState,
    OpenedCertificate,
    WarningCode,
    names_device,
    show_in_part,
)
from bulkcert.values.events import EventType
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.secret import Secret
from tests.builders import (
    DAY,
    NOW,
    PASSWORD,
    a_bundle,
    a_ca,
    a_certificate,
    a_pkcs12,
    a_zip,
    an_ec_key,
    an_rsa_key,
)
from tests.clock import Clock
from tests.verbs import InProcessOpener, Verbs, make_verbs

A, B, C = "A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH"
CURRENT = CertificateFilter(state=CertificateState.CURRENT)


def current(verbs: Verbs, identity: str) -> str | None:
    page = verbs.inventory.page(replace(CURRENT, identity=identity), 10, None)
    assert len(page.items) <= 1
    return page.items[0].facts.fingerprint_sha256 if page.items else None


def warnings(verbs: Verbs, request: BulkRequest) -> dict[str | None, tuple[WarningCode, ...]]:
    return {item.identity: item.result.warnings for item in verbs.items(request) if item.result}


def test_good_items_are_created_and_counted(verbs: Verbs) -> None:
    request = verbs.import_bundle(a_bundle([A, B, C]))

    assert request.state is RequestState.SUCCEEDED
    assert (request.counts.total, request.counts.done, request.counts.created) == (3, 3, 3)
    assert (request.started_at, request.finished_at) == (NOW, NOW)
    assert len(verbs.inventory.page(CURRENT, 10, None).items) == 3


def test_one_bad_file_among_many_fails_alone(verbs: Verbs) -> None:
    files = {B: a_pkcs12(B, "another password")}
    request = verbs.import_bundle(a_bundle([A, B, C], files=files))

    assert verbs.codes(request) == {A: "created", B: "wrong_password", C: "created"}
    assert request.state is RequestState.PARTIALLY_SUCCEEDED


def test_the_key_that_is_kept_is_the_key_that_came(verbs: Verbs) -> None:
    key = an_ec_key()
    verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key)}))

    [kept] = verbs.inventory.page(CertificateFilter(identity=A), 10, None).items
    with verbs.store.reading() as tx:
        found = tx.device_keys.find_sealed(kept.id)
    opened = open_key(verbs.vault, found, must_be_owned=True).reveal()
    assert serialization.load_der_private_key(opened, None).private_numbers() == key.private_numbers()


def test_the_same_bundle_twice_changes_nothing(verbs: Verbs) -> None:
    bundle = a_bundle([A, B])
    verbs.import_bundle(bundle)
    again = verbs.import_bundle(bundle)

    assert verbs.codes(again) == {A: "unchanged", B: "unchanged"}
    assert again.state is RequestState.SUCCEEDED


def test_another_certificate_replaces_the_current_one_which_stays_superseded(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    before = current(verbs, A)
    request = verbs.import_bundle(a_bundle([A]))

    assert verbs.codes(request) == {A: "replaced"}
    states = {
        kept.facts.fingerprint_sha256: kept.state
        for kept in verbs.inventory.page(CertificateFilter(identity=A), 10, None).items
    }
    assert states == {before: CertificateState.SUPERSEDED, current(verbs, A): CertificateState.CURRENT}


def test_with_keep_a_device_that_has_another_certificate_is_unchanged_and_says_so(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    before = current(verbs, A)
    request = verbs.import_bundle(a_bundle([A, B]), on_conflict=OnConflict.KEEP)

    assert verbs.codes(request) == {A: "unchanged", B: "created"}
    assert "another certificate" in (verbs.items(request)[0].result.detail or "")
    assert current(verbs, A) == before


def test_a_superseded_certificate_uploaded_again_becomes_current(verbs: Verbs) -> None:
    first = a_bundle([A])
    verbs.import_bundle(first)
    fingerprint = current(verbs, A)
    verbs.import_bundle(a_bundle([A]))
    request = verbs.import_bundle(first)

    assert verbs.codes(request) == {A: "replaced"}
    assert current(verbs, A) == fingerprint
    assert len(verbs.inventory.page(CertificateFilter(identity=A), 10, None).items) == 2


def test_a_new_certificate_on_the_same_key_is_replaced_with_a_warning(verbs: Verbs) -> None:
    key = an_ec_key()
    verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key)}))
    request = verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key)}))

    assert verbs.codes(request) == {A: "replaced"}
    assert warnings(verbs, request) == {A: (WarningCode.KEY_REUSED,)}


def test_a_key_that_another_device_has_is_refused_even_when_superseded(verbs: Verbs) -> None:
    key = an_ec_key()
    verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key)}))
    verbs.import_bundle(a_bundle([A]))
    request = verbs.import_bundle(a_bundle([B], files={B: a_pkcs12(B, key=key)}))

    assert verbs.codes(request) == {B: "duplicate_key"}
    assert A in (verbs.items(request)[0].result.detail or "")
    assert current(verbs, B) is None


@pytest.mark.parametrize("apart", [0, 60])
def test_the_same_key_under_two_names_in_one_bundle_fails_both_however_far_apart(
    verbs: Verbs, apart: int
) -> None:
    key = an_ec_key()
    between = [f"SERIAL{number:06}" for number in range(apart)]
    files = {A: a_pkcs12(A, key=key), B: a_pkcs12(B, key=key), C: a_pkcs12(C, key=key)}
    request = verbs.import_bundle(a_bundle([A, *between, B, C], files=files))

    codes = verbs.codes(request)
    assert (codes[A], codes[B], codes[C]) == ("duplicate_key",) * 3
    assert (request.counts.created, request.counts.failed, request.counts.done) == (apart, 3, apart + 3)
    assert current(verbs, A) is None
    with verbs.store.reading() as tx:
        assert EventType.CERTIFICATE_WITHDRAWN in {event.type for event in tx.events.list(newest=1000)}


def test_withdrawing_a_replacement_brings_the_former_certificate_back(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    before = current(verbs, A)
    key = an_ec_key()
    request = verbs.import_bundle(a_bundle([A, B], files={A: a_pkcs12(A, key=key), B: a_pkcs12(B, key=key)}))

    assert set(verbs.codes(request).values()) == {"duplicate_key"}
    assert current(verbs, A) == before
    assert verbs.codes(verbs.import_bundle(a_bundle([C], files={C: a_pkcs12(C, key=key)}))) == {C: "created"}


def test_withdrawing_keeps_the_owner_of_a_key_that_an_older_certificate_has(verbs: Verbs) -> None:
    key = an_ec_key()
    verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key)}))
    before = current(verbs, A)
    verbs.import_bundle(a_bundle([A, B], files={A: a_pkcs12(A, key=key), B: a_pkcs12(B, key=key)}))

    assert current(verbs, A) == before
    assert verbs.codes(verbs.import_bundle(a_bundle([C], files={C: a_pkcs12(C, key=key)}))) == {
        C: "duplicate_key"
    }


def test_withdrawing_an_unchanged_item_destroys_nothing(verbs: Verbs) -> None:
    key = an_ec_key()
    kept = a_pkcs12(A, key=key)
    verbs.import_bundle(a_bundle([A], files={A: kept}))
    before = current(verbs, A)
    request = verbs.import_bundle(a_bundle([A, B], files={A: kept, B: a_pkcs12(B, key=key)}))

    assert set(verbs.codes(request).values()) == {"duplicate_key"}
    assert current(verbs, A) == before


def dated(not_before: timedelta, not_after: timedelta, **kwargs: object) -> bytes:
    key = an_ec_key()
    return a_pkcs12(
        A,
        key=key,
        certificate=a_certificate(key, A, not_before=NOW + not_before, not_after=NOW + not_after, **kwargs),
    )


@pytest.mark.parametrize(
    ("pkcs12", "code"),
    [
        (dated(-30 * DAY, -DAY), "expired"),
        (dated(2 * DAY, 30 * DAY), "not_yet_valid"),
        (a_pkcs12(A, "wrong"), "wrong_password"),
        (b"not a pkcs12", "not_pkcs12"),
        (a_pkcs12(A, key=an_rsa_key(1024)), "weak_key"),
        (a_pkcs12(A, iterations=3_000_000), "too_costly"),
    ],
)
def test_an_item_that_cannot_be_kept_gets_its_code(verbs: Verbs, pkcs12: bytes, code: str) -> None:
    assert verbs.codes(verbs.import_bundle(a_bundle([A], files={A: pkcs12}))) == {A: code}


def test_a_wrong_password_is_told_with_its_line_and_what_slipped_into_it(any_verbs: Verbs) -> None:
    lines = f"\n{A}.p12={PASSWORD}\n{B}.p12 = {PASSWORD}\n{C}.p12=“{PASSWORD}”\n"
    files = {f"{name}.p12": a_pkcs12(name) for name in (A, B, C)}
    request = any_verbs.import_bundle(a_zip({**files, "credential.txt": lines.encode()}))

    good, spaced, quoted = [item.result.detail for item in any_verbs.items(request) if item.result]
    assert good is None
    assert spaced == (
        "Line 3 of the credentials file: The password does not open the file. "
        "It begins with a space: write no spaces around the '='."
    )
    assert quoted is not None
    assert quoted.startswith("Line 4 of the credentials file: ")
    assert "U+201C (LEFT DOUBLE QUOTATION MARK)" in quoted
    assert PASSWORD not in spaced + quoted


def test_what_a_file_is_stands_with_its_item(any_verbs: Verbs) -> None:
    request = any_verbs.import_bundle(
        a_bundle([A, B], files={A: b"\xfe\xed\xfe\xed\0\0\0\2", B: a_pkcs12(B)})
    )

    found = [item.result and item.result.found for item in any_verbs.items(request)]
    assert found == [FileKind.JAVA_KEYSTORE, None]


@pytest.mark.parametrize(
    ("serial_number", "warning"),
    [
        ("490154203237518", WarningCode.LOOKS_LIKE_IMEI),
        ("A10000009296F1", WarningCode.LOOKS_LIKE_MEID),
        (f"S{A}", WarningCode.LOOKS_LIKE_BARCODE),
    ],
)
def test_a_serial_number_that_looks_like_something_else_is_kept_with_a_warning(
    verbs: Verbs, serial_number: str, warning: WarningCode
) -> None:
    bundle = a_bundle([serial_number])

    assert warnings(verbs, verbs.import_bundle(bundle)) == {serial_number: (warning,)}
    assert warnings(verbs, verbs.import_bundle(bundle)) == {serial_number: (warning,)}  # unchanged
    never_imported = verbs.deletions.delete([f"S{B}"], IdentityType.SERIAL_NUMBER, verbs.caller)
    assert warnings(verbs, never_imported) == {f"S{B}": (WarningCode.LOOKS_LIKE_BARCODE,)}


@pytest.mark.parametrize(
    ("pkcs12", "expected"),
    [
        (a_pkcs12(A), ()),
        (dated(-DAY, 300 * DAY, client_auth=False), (WarningCode.NO_CLIENT_AUTH,)),
        (dated(-DAY, 5 * DAY), (WarningCode.EXPIRES_SOON,)),
        (dated(DAY / 2, 300 * DAY), (WarningCode.NOT_YET_VALID,)),
        (a_pkcs12(A, chain=[a_ca()[0], a_ca("other")[0]]), (WarningCode.UNRELATED_CERTIFICATE,)),
        (a_pkcs12(A, chain=[]), (WarningCode.INCOMPLETE_CHAIN,)),
        (a_pkcs12(B), (WarningCode.IDENTITY_NOT_IN_CERTIFICATE,)),
    ],
)
def test_an_item_that_is_kept_gets_its_warnings(
    verbs: Verbs, pkcs12: bytes, expected: tuple[WarningCode, ...]
) -> None:
    request = verbs.import_bundle(a_bundle([A], files={A: pkcs12}))

    assert warnings(verbs, request) == {A: expected}


@pytest.mark.parametrize(
    ("names", "is_named"), [([A.lower()], True), ([], False)], ids=["among the names", "nowhere"]
)
def test_a_device_is_found_among_names_that_are_not_shown(names: list[str], is_named: bool) -> None:
    many = [f"{number}.example" for number in range(300)]
    key = an_ec_key()
    made = a_certificate(key, "x", dns_names=[*many, *names])
    opened = open_pkcs12(a_pkcs12(A, key=key, certificate=made), Secret(PASSWORD.encode()))
    leaf = replace(opened.leaf, facts=show_in_part(opened.leaf.facts))

    assert leaf.facts.is_in_part
    identity = DeviceIdentity(IdentityType.SERIAL_NUMBER, A)
    assert names_device(leaf, identity) is is_named


def test_a_choice_among_certificates_stands_in_the_detail_of_the_item(verbs: Verbs) -> None:
    key = an_ec_key()
    issued = a_certificate(key, A)
    own = a_certificate(key, A, issuer=(a_certificate(key, A), key), not_after=NOW + 9000 * DAY)
    bundle = a_bundle([A], files={A: a_pkcs12(A, key=key, certificate=own, chain=[issued, a_ca()[0]])})
    request = verbs.import_bundle(bundle)
    [item] = verbs.items(request)

    assert item.result is not None
    assert item.result.warnings == (WarningCode.SEVERAL_CERTIFICATES,)
    assert f"serial number {issued.serial_number} was taken: a CA issued it" in (item.result.detail or "")


def test_a_password_that_ends_in_white_space_is_used_as_it_is_and_warned_of(verbs: Verbs) -> None:
    request = verbs.import_bundle(a_bundle([A], password="secret \t", files={A: a_pkcs12(A, "secret \t")}))

    assert warnings(verbs, request) == {A: (WarningCode.PASSWORD_ENDS_IN_SPACE,)}


def test_an_identity_in_an_alternative_name_counts(verbs: Verbs) -> None:
    key = an_ec_key()
    certificate = a_certificate(key, "some device", dns_names=[f"{A.lower()}.devices.example"])
    request = verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key, certificate=certificate)}))

    assert warnings(verbs, request) == {A: ()}


def test_a_chain_certificate_is_kept_once_for_all_devices(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A, B]))
    verbs.import_bundle(a_bundle([C]))

    listed = list(verbs.inventory.current_certificates())
    assert len(listed) == 4
    assert [c.facts.subject.common_name for c in listed][-1] == a_ca()[
        0
    ].subject.rfc4514_string().removeprefix("CN=")
    chains = {c.chain_ids for c in verbs.inventory.page(CertificateFilter(), 10, None).items}
    assert chains == {(listed[-1].id,)}


def test_every_act_has_its_event(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    verbs.import_bundle(a_bundle([A]))

    with verbs.store.reading() as tx:
        types = [event.type for event in tx.events.list()]
    assert types == [
        EventType.IMPORT_ACCEPTED,
        EventType.CERTIFICATE_CREATED,
        EventType.IMPORT_FINISHED,
        EventType.IMPORT_ACCEPTED,
        EventType.CERTIFICATE_REPLACED,
        EventType.IMPORT_FINISHED,
    ]


# --- leases ---


class DyingOpener:
    """A worker that is killed while it opens."""

    def cpu_seconds(self) -> float:
        return 0.0

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[OpenedCertificate | ItemRefusal]:
        raise KeyboardInterrupt


def a_keeper(verbs: Verbs, opener: object) -> ChunkWorker:
    return ChunkWorker(verbs.store, verbs.vault, opener, verbs.clock, timedelta(seconds=60))  # type: ignore[arg-type]


def test_a_chunk_of_a_dead_worker_is_done_by_another_after_its_lease(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([A, B]))
    with pytest.raises(KeyboardInterrupt):
        a_keeper(verbs, DyingOpener()).work_once()

    assert verbs.chunk_worker.work_once() is False
    verbs.clock.pass_by(seconds=61)
    assert verbs.chunk_worker.work_once() is True
    assert verbs.codes(request) == {A: "created", B: "created"}


def test_a_worker_that_outlived_its_lease_changes_nothing(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([A, B]))

    class SlowOpener(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            opened = list(super().open_all(files))
            verbs.clock.pass_by(seconds=61)
            assert (
                verbs.chunk_worker.work_once() is True
            )  # another worker took the chunk over and finished it
            yield from opened

    a_keeper(verbs, SlowOpener()).work_once()
    finished = verbs.intake.wait(request.id, 0)
    assert (finished.counts.created, finished.counts.done, finished.counts.total) == (2, 2, 2)
    assert verbs.codes(request) == {A: "created", B: "created"}


def test_a_lease_is_renewed_while_a_slow_chunk_is_opened(verbs: Verbs) -> None:
    verbs.accept(a_bundle([A, B, C]))
    others: list[bool] = []

    class SlowOpener(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            for answer in super().open_all(files):
                verbs.clock.pass_by(seconds=50)
                others.append(verbs.chunk_worker.work_once())
                yield answer

    a_keeper(verbs, SlowOpener()).work_once()
    assert others == [False, False, False]


class PoisonedOpener(InProcessOpener):
    """A worker that is killed by one file."""

    def __init__(self, poison: bytes) -> None:
        self.poison = poison
        self.deaths = 0

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[OpenedCertificate | ItemRefusal]:
        if self.poison in [pkcs12 for pkcs12, _ in files]:
            self.deaths += 1
            raise KeyboardInterrupt
        return super().open_all(files)


def test_of_a_chunk_that_kills_its_workers_only_the_poisonous_entry_fails(any_verbs: Verbs) -> None:
    verbs, poison = any_verbs, a_pkcs12(B)
    request = verbs.accept(a_bundle([A, B, C], files={B: poison}))
    opener = PoisonedOpener(poison)
    chunk_worker = a_keeper(verbs, opener)
    working = True
    while working:
        try:
            working = chunk_worker.work_once()
        except KeyboardInterrupt:
            expire_leases(verbs)

    assert verbs.codes(request) == {A: "created", B: Crashed.code, C: "created"}
    assert opener.deaths == MOST_ATTEMPTS_TOGETHER + MOST_ATTEMPTS_ALONE
    with verbs.store.reading() as tx:
        assert tx.requests.load() == QueuedWork(0, 0)
        assert tx.requests.find(request.id).counts.done == 3


def expire_leases(verbs: Verbs) -> None:
    with verbs.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chunks SET leased_until = NULL")


def test_a_chunk_that_was_altered_fails_its_items_and_nothing_else(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([A, B]))
    with verbs.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chunks SET sealed_entries = zeroblob(length(sealed_entries))")
    other = verbs.accept(a_bundle([C]))
    verbs.work()

    assert verbs.codes(request) == {A: "crashed", B: "crashed"}
    assert verbs.codes(other) == {C: "created"}


def test_a_fault_of_the_worker_gives_its_chunk_back_at_once(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([A]))

    class NoOpener(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            raise RuntimeError("there is no process to open files with")

    with pytest.raises(RuntimeError):
        a_keeper(verbs, NoOpener()).work_once()
    assert verbs.chunk_worker.work_once() is True
    assert verbs.codes(request) == {A: "created"}


def test_what_a_deletion_took_out_is_not_opened_any_more(verbs: Verbs) -> None:
    verbs.accept(a_bundle([A, B]))
    verbs.deletions.delete([A], IdentityType.SERIAL_NUMBER, verbs.caller)
    opened: list[int] = []

    class CountingOpener(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            opened.append(len(files))
            return super().open_all(files)

    a_keeper(verbs, CountingOpener()).work_once()
    assert opened == [1]


# --- cancelling ---


def test_cancelling_stops_what_has_not_begun(any_verbs: Verbs) -> None:
    verbs = any_verbs
    request = verbs.accept(a_bundle([A, B]))
    cancelled = verbs.intake.cancel(request.id, verbs.caller)
    verbs.work()

    assert cancelled.state is RequestState.CANCELLED
    assert (cancelled.counts.done, cancelled.counts.failed) == (2, 2)
    assert verbs.codes(request) == {A: "cancelled", B: "cancelled"}
    assert current(verbs, A) is None
    with verbs.store.reading() as tx:
        assert tx.requests.load() == QueuedWork(0, 0)
        assert [event.type for event in tx.events.list()] == [
            EventType.IMPORT_ACCEPTED,
            EventType.IMPORT_CANCELLED,
            EventType.IMPORT_FINISHED,
        ]
    assert verbs.intake.cancel(request.id, verbs.caller) == cancelled


def test_what_a_worker_has_in_hand_is_finished_when_the_rest_is_cancelled(any_verbs: Verbs) -> None:
    verbs = any_verbs
    serials = [f"SERIAL{number:06}" for number in range(60)]
    request = verbs.accept(a_bundle(serials))
    states: list[RequestState] = []

    class Cancelling(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            states.append(verbs.intake.cancel(request.id, verbs.caller).state)
            return super().open_all(files)

    assert a_keeper(verbs, Cancelling()).work_once() is True
    ended = verbs.intake.wait(request.id, 0)
    assert states == [RequestState.RUNNING]
    assert ended.state is RequestState.CANCELLED
    assert (ended.counts.created, ended.counts.failed, ended.counts.done) == (50, 10, 60)


def test_a_chunk_of_a_cancelled_import_whose_worker_died_is_not_opened_again(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([f"SERIAL{number:06}" for number in range(60)]))
    with pytest.raises(KeyboardInterrupt):
        a_keeper(verbs, DyingOpener()).work_once()
    verbs.intake.cancel(request.id, verbs.caller)
    verbs.clock.pass_by(seconds=61)
    verbs.work()

    ended = verbs.intake.wait(request.id, 0)
    assert (ended.state, ended.counts.failed) == (RequestState.CANCELLED, 60)
    assert set(verbs.codes(request).values()) == {"cancelled"}


def test_an_import_that_has_ended_cannot_be_cancelled(verbs: Verbs) -> None:
    request = verbs.import_bundle(a_bundle([A]))

    with pytest.raises(AlreadyFinished):
        verbs.intake.cancel(request.id, verbs.caller)


# --- validating ---


def test_validating_gives_the_report_of_an_import_and_keeps_nothing(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    before = list(verbs.inventory.current_certificates())
    bundle = a_bundle([A, B, C], files={C: a_pkcs12(C, "another")})
    trial = verbs.import_bundle(bundle, validate_only=True)

    assert list(verbs.inventory.current_certificates()) == before
    assert trial.validate_only
    assert verbs.codes(trial) == {A: "replaced", B: "created", C: "wrong_password"}
    results = [item.result for item in verbs.items(trial) if item.result]
    assert [result.certificate_id for result in results] == [None, None, None]
    assert results[1].fingerprint_sha256 is not None
    with verbs.store.reading() as tx:
        assert [event.type for event in tx.events.list()][-2:] == [
            EventType.IMPORT_ACCEPTED,
            EventType.IMPORT_FINISHED,
        ]
    real = verbs.import_bundle(bundle)
    assert verbs.codes(real) == verbs.codes(trial)
    assert real.counts == trial.counts


@pytest.mark.parametrize("apart", [0, 60])
def test_validating_finds_the_same_key_twice_however_far_apart(verbs: Verbs, apart: int) -> None:
    key = an_ec_key()
    between = [f"SERIAL{number:06}" for number in range(apart)]
    files = {A: a_pkcs12(A, key=key), B: a_pkcs12(B, key=key)}
    trial = verbs.import_bundle(a_bundle([A, *between, B], files=files), validate_only=True)

    codes = verbs.codes(trial)
    assert (codes[A], codes[B]) == ("duplicate_key", "duplicate_key")
    assert trial.counts.failed == 2
    assert trial.counts.created == apart


# --- working ahead ---


def a_keeper_that_works_ahead(verbs: Verbs) -> ChunkWorker:
    lease = timedelta(seconds=60)
    return ChunkWorker(verbs.store, verbs.vault, InProcessOpener(), verbs.clock, lease, works_ahead=True)


@pytest.mark.slow
def test_what_is_committed_while_the_next_chunk_is_opened_is_all_there_at_the_end(any_verbs: Verbs) -> None:
    verbs = any_verbs
    request = verbs.accept(a_bundle([f"SERIAL{number:06}" for number in range(220)]))
    chunk_worker = a_keeper_that_works_ahead(verbs)
    while chunk_worker.work_once():
        pass

    ended = verbs.intake.wait(request.id, 0)
    assert (ended.state, ended.counts.created) == (RequestState.SUCCEEDED, 220)
    chunk_worker.close()


def test_a_commit_that_fails_behind_the_work_gives_its_chunk_back_and_is_told(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = verbs.accept(a_bundle([f"SERIAL{number:06}" for number in range(60)]))
    chunk_worker = a_keeper_that_works_ahead(verbs)

    def refuse(*_: object) -> None:
        raise Unavailable("The database went away.")

    with monkeypatch.context() as broken:
        broken.setattr(chunk_worker, "_commit", refuse)
        assert chunk_worker.work_once() is True
        with pytest.raises(Unavailable):
            chunk_worker.work_once()
    while chunk_worker.work_once():
        pass

    assert verbs.intake.wait(request.id, 0).counts.created == 60
    chunk_worker.close()


def test_a_commit_that_fails_is_charged_to_its_own_chunk(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever chunk is opened meanwhile, it is committed, and the fault is raised after that."""
    faulty, good = verbs.accept(a_bundle([A])), verbs.accept(a_bundle([B]))
    commit = ChunkWorker._commit

    def refuse(chunk_worker: ChunkWorker, chunk, opened) -> None:
        is_given_up = any(isinstance(answer, Crashed) for answer in opened.answers.values())
        if chunk.request_id == faulty.id and not is_given_up:
            raise RuntimeError
        commit(chunk_worker, chunk, opened)

    monkeypatch.setattr(ChunkWorker, "_commit", refuse)
    for _ in range(2 * MOST_ATTEMPTS_ALONE):  # the worker ends each time, and another one is started
        chunk_worker = a_keeper_that_works_ahead(verbs)
        with suppress(RuntimeError), closing(chunk_worker):
            while chunk_worker.work_once():
                pass

    assert verbs.codes(good) == {B: "created"}
    assert verbs.codes(faulty) == {A: "crashed"}


@pytest.mark.parametrize(
    ("fault", "expectation"),
    [(RuntimeError, pytest.raises(RuntimeError)), (Unavailable, nullcontext())],
)
def test_closing_raises_the_fault_of_the_last_commit_unless_it_was_an_outage(
    verbs: Verbs,
    monkeypatch: pytest.MonkeyPatch,
    fault: type[Exception],
    expectation: AbstractContextManager[object],
) -> None:
    request = verbs.accept(a_bundle([A]))
    chunk_worker = a_keeper_that_works_ahead(verbs)

    def refuse(*_: object) -> None:
        raise fault("no")

    monkeypatch.setattr(chunk_worker, "_commit", refuse)
    chunk_worker.work_once()
    with expectation:
        chunk_worker.close()
    verbs.work()

    assert verbs.codes(request) == {A: "created"}


def test_an_outage_that_lasts_is_not_charged_to_the_files(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that cannot be returned while the database is away is returned when it is there again."""
    request = verbs.accept(a_bundle([A]))
    chunk_worker = a_keeper(verbs, InProcessOpener())

    def refuse(*_: object) -> None:
        raise Unavailable("The database went away.")

    for _ in range(2 * MOST_ATTEMPTS_ALONE):
        with monkeypatch.context() as away, pytest.raises(Unavailable):

            def lose_the_database(_claimed: object, away: pytest.MonkeyPatch = away) -> None:
                away.setattr(Store, "writing", refuse)
                refuse()

            away.setattr(chunk_worker, "_open", lose_the_database)
            chunk_worker.work_once()
    while chunk_worker.work_once():
        pass

    assert verbs.codes(request) == {A: "created"}


def test_a_value_that_the_database_refuses_fails_its_item_alone(
    any_verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs = any_verbs
    insert = Certificates.insert

    def refuse(self, new, *rest) -> None:
        if any(each.identity.value == B for each in new):
            raise NotStorable("It is too long.")
        insert(self, new, *rest)

    monkeypatch.setattr(Certificates, "insert", refuse)
    request = verbs.import_bundle(a_bundle([A, B, C]))

    assert verbs.codes(request) == {A: "created", B: "not_storable", C: "created"}
    assert request.state is RequestState.PARTIALLY_SUCCEEDED
    with verbs.store.reading() as tx:
        assert tx.requests.load() == QueuedWork(0, 0)


def test_closing_commits_what_is_opened(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([A]))
    chunk_worker = a_keeper_that_works_ahead(verbs)
    chunk_worker.work_once()
    chunk_worker.close()

    assert verbs.codes(request) == {A: "created"}


def test_the_next_chunk_is_opened_while_one_is_being_written(verbs: Verbs, monkeypatch) -> None:
    """SQLite has one writer: what opens files must not wait for the end of its transaction."""
    verbs.accept(a_bundle([f"SERIAL{number:06}" for number in range(60)]))
    opened: list[int] = []
    second = threading.Event()

    class Opener(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            opened.append(len(files))
            if len(opened) == 2:
                second.set()
            return super().open_all(files)

    chunk_worker = ChunkWorker(
        verbs.store, verbs.vault, Opener(), verbs.clock, timedelta(seconds=60), works_ahead=True
    )
    commit, came_meanwhile = chunk_worker._commit, []

    def commit_slowly(chunk, answers) -> None:
        with verbs.store.writing():
            came_meanwhile.append(second.wait(10))
        commit(chunk, answers)

    monkeypatch.setattr(chunk_worker, "_commit", commit_slowly)
    while chunk_worker.work_once():
        pass

    assert opened == [50, 10]
    assert came_meanwhile == [True, True]
    chunk_worker.close()


def test_a_chunk_that_took_longer_than_its_lease_is_not_claimed_from_oneself(
    any_verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine slept, or the database was busy: what is opened is committed, unless another has it now."""
    verbs = any_verbs
    request = verbs.accept(a_bundle([f"SERIAL{number:06}" for number in range(60)]))
    opened: list[int] = []

    class Opener(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            opened.append(len(files))
            answers = list(super().open_all(files))
            verbs.clock.now += timedelta(seconds=61)
            return iter(answers)

    lease = timedelta(seconds=60)
    chunk_worker = ChunkWorker(verbs.store, verbs.vault, Opener(), verbs.clock, lease, works_ahead=True)
    monkeypatch.setattr(chunk_worker, "_renew", lambda _chunk: True)  # it came too late
    while chunk_worker.work_once():
        pass

    assert opened == [50, 10]
    assert verbs.intake.wait(request.id, 0).counts.created == 60
    chunk_worker.close()


def test_closing_gives_back_what_was_claimed_ahead(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([f"SERIAL{number:06}" for number in range(60)]))
    chunk_worker = a_keeper_that_works_ahead(verbs)
    chunk_worker.work_once()
    chunk_worker.close()

    assert verbs.chunk_worker.work_once() is True
    assert verbs.intake.wait(request.id, 0).counts.created == 60


# --- several workers at once ---


@pytest.mark.slow
def test_workers_that_meet_at_the_same_rows_try_again(any_verbs: Verbs) -> None:
    """The same chain, and the same key, in chunks that are committed at the same moment."""
    verbs, key = any_verbs, an_ec_key()
    serials = [f"SERIAL{number:06}" for number in range(198)]
    files = {A: a_pkcs12(A, key=key), B: a_pkcs12(B, key=key)}
    request = verbs.accept(a_bundle([A, *serials, B], files=files))
    ready = threading.Barrier(4)

    class Together(InProcessOpener):
        def open_all(
            self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
        ) -> Iterator[OpenedCertificate | ItemRefusal]:
            answers = list(super().open_all(files))
            ready.wait(30)
            return iter(answers)

    workers = [threading.Thread(target=a_keeper(verbs, Together()).work_once) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    ended = verbs.intake.wait(request.id, 0)
    codes = {item.identity: item.result and item.result.code for item in every_item(verbs, request)}
    assert (codes[A], codes[B]) == ("duplicate_key", "duplicate_key")
    assert (ended.counts.created, ended.counts.failed, ended.counts.done) == (198, 2, 200)
    assert len(list(verbs.inventory.current_certificates())) == 198 + 1  # and the chain's, once


def every_item(verbs: Verbs, request: BulkRequest) -> list[Item]:
    with verbs.store.reading() as tx:
        return list(tx.items.page(request.id, None, 1000, None).items)


@pytest.mark.slow
def test_imports_share_the_workers_in_turns(verbs: Verbs) -> None:
    large = verbs.accept(a_bundle([f"SERIAL{number:06}" for number in range(500)]))
    for _ in range(3):
        verbs.chunk_worker.work_once()
    small = verbs.accept(a_bundle([A]))
    verbs.chunk_worker.work_once()
    verbs.chunk_worker.work_once()

    assert verbs.intake.wait(small.id, 0).state.is_finished
    assert not verbs.intake.wait(large.id, 0).state.is_finished


# --- counting, whatever comes ---

KINDS = {
    "good": a_pkcs12,
    "wrong": lambda name: a_pkcs12(name, "another"),
    "garbage": lambda _name: b"garbage",
}


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_counting_rule_holds_for_every_bundle(
    tmp_path_factory: pytest.TempPathFactory, caller, vault, data
) -> None:
    path: Path = tmp_path_factory.mktemp("counting")
    clock = Clock(NOW)
    with closing(Store(f"sqlite:///{path / 'store.sqlite3'}", now=clock)) as store:
        migration.upgrade(store)
        verbs = make_verbs(store, vault, clock, caller)
        names = data.draw(
            st.lists(
                st.sampled_from(["A12BC3D4EFGH", "b12bc3d4efgh", "B12BC3D4EFGH", "bad", "C12BC3D4EFGH"]),
                min_size=1,
                max_size=5,
                unique=True,
            )
        )
        entries = {f"{name}.p12": KINDS[data.draw(st.sampled_from(sorted(KINDS)))](name) for name in names}
        lines = data.draw(st.lists(st.sampled_from([*names, "D12BC3D4EFGH", "worse"]), max_size=6))
        entries["credential.txt"] = "".join(f"{line}.p12={PASSWORD}\n" for line in lines).encode()
        for junk in data.draw(
            st.lists(st.sampled_from(["readme.md", "__MACOSX/._a", ".DS_Store"]), unique=True)
        ):
            entries[junk] = b""
        request = verbs.import_bundle(a_zip(entries, zipfile.ZIP_STORED))
        counts = request.counts
        ended = counts.created + counts.replaced + counts.unchanged + counts.failed

        assert counts.total == ended + counts.ignored == len(verbs.items(request)) + counts.ignored
        assert counts.done == ended
        assert request.state.is_finished
