"""Deletions that only tell, that come twice, that meet workers, and lists of any length."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from bulkcert.errors import Contended, IdempotencyKeyReused
from bulkcert.imports.chunk_commit import ChunkCommit
from bulkcert.store.imports.items import Items
from bulkcert.store.store import Store
from bulkcert.store.tables.certificates import certificates, device_keys
from bulkcert.store.tables.imports import items
from bulkcert.values.bulk_requests import BulkRequest, RequestState
from bulkcert.values.certificates import CertificateFilter, CertificateState
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import IdentityType
from bulkcert.values.principals import SCOPES_OF, Caller, Role
from tests.builders import a_bundle, a_pkcs12
from tests.verbs import Verbs, make_verbs

A, B, C, D = "A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH", "D12BC3D4EFGH"
SERIAL, IMEI = IdentityType.SERIAL_NUMBER, IdentityType.IMEI
AN_IMEI = "490154203237518"
LONG = 20  # seconds; nothing waits for so long where all is well


def current(verbs: Verbs) -> set[str]:
    wanted = CertificateFilter(state=CertificateState.CURRENT)
    return {str(kept.identity) for kept in verbs.inventory.page(wanted, 100, None).items}


def events(store: Store) -> list[Event]:
    with store.reading() as tx:
        return list(tx.events.list(newest=1000))


def everything_but_requests(store: Store) -> list[Any]:
    """All that a deletion could change, row by row."""
    tables = (certificates, device_keys, items.select().where(items.c.outcome.is_(None)).subquery())
    with store.engine.connect() as connection:
        return [sorted(map(repr, connection.execute(sa.select(table)))) for table in tables]


# --- validate_only ---------------------------------------------------------------------------------------


@pytest.fixture
def mixed(any_verbs: Verbs) -> Verbs:
    """A is kept twice (one superseded), B waits in an import, AN_IMEI is kept as serial number and as IMEI."""
    any_verbs.import_bundle(a_bundle([A, AN_IMEI]))
    any_verbs.import_bundle(a_bundle([A]))
    any_verbs.import_bundle(a_bundle([AN_IMEI]), IMEI)
    any_verbs.accept(a_bundle([B]))
    return any_verbs


WANTED = [A.lower(), B, C, "bad", A, AN_IMEI]


@pytest.mark.parametrize("identity_type", [SERIAL, IMEI, None])
def test_validating_a_deletion_tells_what_it_would_do_and_changes_nothing(
    mixed: Verbs, identity_type: IdentityType | None
) -> None:
    before, number = everything_but_requests(mixed.store), len(events(mixed.store))
    told = mixed.deletions.delete(WANTED, identity_type, mixed.caller, validate_only=True)
    after = everything_but_requests(mixed.store)
    new = events(mixed.store)[number:]
    done = mixed.deletions.delete(WANTED, identity_type, mixed.caller)

    assert before == after
    assert [(event.type, event.facts["validate_only"]) for event in new] == [
        (EventType.DELETION_ACCEPTED, True),
        (EventType.DELETION_FINISHED, True),
    ]
    assert replace(told, id=done.id, validate_only=False) == done
    assert mixed.items(told) == mixed.items(done)
    assert done.counts.deleted > 0
    assert all("validate_only" not in event.facts for event in events(mixed.store)[number + 2 :])


def test_a_validation_is_kept_as_one(mixed: Verbs) -> None:
    told = mixed.deletions.delete_listed(io.BytesIO(A.encode()), SERIAL, mixed.caller, validate_only=True)

    with mixed.store.reading() as tx:
        assert tx.requests.find(told.id) == told
    assert (told.validate_only, told.state) == (True, RequestState.SUCCEEDED)
    assert A in current(mixed)


def test_an_import_that_only_tells_holds_nothing_that_could_be_deleted(any_verbs: Verbs) -> None:
    telling = any_verbs.accept(a_bundle([A]), validate_only=True)
    request = any_verbs.deletions.delete([A], SERIAL, any_verbs.caller)
    any_verbs.work()

    assert any_verbs.codes(request) == {A: "not_found"}
    assert any_verbs.codes(telling) == {A: "created"}


# --- Idempotency-Key -------------------------------------------------------------------------------------


def test_a_deletion_that_is_sent_again_is_not_done_again(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    first = verbs.deletions.delete([A], SERIAL, verbs.caller, idempotency_key="k")
    verbs.import_bundle(a_bundle([A]))
    number = len(events(verbs.store))
    again = verbs.deletions.delete([A], SERIAL, verbs.caller, idempotency_key="k")
    by_file = verbs.deletions.delete_listed(
        io.BytesIO(f"{A}.p12=secret\r\n".encode()), SERIAL, verbs.caller, idempotency_key="k"
    )

    assert again == by_file == first
    assert current(verbs) == {A}
    assert len(events(verbs.store)) == number


def test_what_was_refused_may_be_sent_again_under_its_key(any_verbs: Verbs, monkeypatch: Any) -> None:
    any_verbs.import_bundle(a_bundle([A]))
    with monkeypatch.context() as broken:
        broken.setattr(Items, "insert", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            any_verbs.deletions.delete([A], SERIAL, any_verbs.caller, idempotency_key="k")
    assert current(any_verbs) == {A}

    done = any_verbs.deletions.delete([A], SERIAL, any_verbs.caller, idempotency_key="k")
    assert any_verbs.codes(done) == {A: "deleted"}


@pytest.mark.parametrize(
    ("identities", "identity_type", "validate_only"),
    [
        ([A], SERIAL, False),
        ([B, A], SERIAL, False),
        ([A, B, C], SERIAL, False),
        ([A + B], SERIAL, False),
        ([A, B], None, False),
        ([A, B], IMEI, False),
        ([A, B], SERIAL, True),
    ],
)
def test_a_key_does_not_stand_for_another_deletion(
    any_verbs: Verbs, identities: list[str], identity_type: IdentityType | None, validate_only: bool
) -> None:
    verbs = any_verbs
    verbs.deletions.delete([A, B], SERIAL, verbs.caller, idempotency_key="k")
    verbs.import_bundle(a_bundle([A, B]))

    with pytest.raises(IdempotencyKeyReused):
        verbs.deletions.delete(
            identities, identity_type, verbs.caller, validate_only=validate_only, idempotency_key="k"
        )
    assert current(verbs) == {A, B}


def test_a_key_belongs_to_its_caller(any_verbs: Verbs) -> None:
    other = Caller(2, "somebody", "1" * 32, SCOPES_OF[Role.OPERATOR])
    first = any_verbs.deletions.delete([A], SERIAL, any_verbs.caller, idempotency_key="k")

    assert any_verbs.deletions.delete([B], SERIAL, other, idempotency_key="k").id != first.id


def test_a_key_is_forgotten_after_a_day(any_verbs: Verbs) -> None:
    verbs = any_verbs
    first = verbs.deletions.delete([A], SERIAL, verbs.caller, idempotency_key="k")
    verbs.clock.pass_by(hours=23, minutes=59)
    same = verbs.deletions.delete([A], SERIAL, verbs.caller, idempotency_key="k")
    verbs.clock.pass_by(minutes=2)

    assert same == first
    assert verbs.deletions.delete([B], SERIAL, verbs.caller, idempotency_key="k").id != first.id


# --- several writers -------------------------------------------------------------------------------------


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do all of it in threads; gives what they gave, or raises what one raised."""
    done: dict[int, Any] = {}
    failed: list[BaseException] = []

    def do(at: int) -> None:
        try:
            done[at] = acts[at]()
        except BaseException as failure:
            failed.append(failure)

    threads = [threading.Thread(target=do, args=(at,), daemon=True) for at in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG * 2)
    assert not any(thread.is_alive() for thread in threads)
    if failed:
        raise failed[0]
    return [done[at] for at in range(len(acts))]


@contextmanager
def somebody_waits(store: Store) -> Iterator[Callable[[], None]]:
    """Give what returns when a connection of this database waits for a lock that another holds."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def wait() -> None:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            for _ in range(LONG * 50):
                if connection.exec_driver_sql(query).scalar_one():
                    return
                threading.Event().wait(0.02)
            raise AssertionError("nobody waited")

        yield wait


@pytest.fixture
def postgres_verbs(postgres_store: Store, vault: Any, clock: Any, caller: Caller) -> Verbs:
    return make_verbs(postgres_store, vault, clock, caller)


def test_a_key_that_comes_many_times_at_once_is_one_deletion(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    start = threading.Barrier(6)

    def delete() -> BulkRequest:
        start.wait(LONG)
        return verbs.deletions.delete([A, B], SERIAL, verbs.caller, idempotency_key="k")

    answers = at_once(*[delete] * 6)

    assert len({answer.id for answer in answers}) == 1
    assert [event.type for event in events(verbs.store)].count(EventType.DELETION_ACCEPTED) == 1


def test_a_key_that_comes_again_while_its_deletion_is_not_committed_waits_for_it(
    postgres_verbs: Verbs, monkeypatch: Any
) -> None:
    verbs, insert, begun = postgres_verbs, Items.insert, threading.Event()

    with somebody_waits(verbs.store) as wait:

        def insert_late(*given: Any) -> None:
            if not begun.is_set():
                begun.set()
                wait()
            insert(*given)

        def delete() -> BulkRequest:
            return verbs.deletions.delete([A], SERIAL, verbs.caller, idempotency_key="k")

        def delete_again() -> BulkRequest:
            assert begun.wait(LONG)
            return delete()

        monkeypatch.setattr(Items, "insert", insert_late)
        first, again = at_once(delete, delete_again)

    assert first == again


def test_what_a_worker_is_keeping_when_a_deletion_comes_is_deleted(
    postgres_verbs: Verbs, monkeypatch: Any
) -> None:
    verbs = postgres_verbs
    waiting = verbs.accept(a_bundle([A, B]))
    kept, finish = threading.Event(), ChunkCommit.finish

    with somebody_waits(verbs.store) as wait:

        def finish_late(keeping: ChunkCommit, *given: Any) -> Any:
            kept.set()
            wait()
            return finish(keeping, *given)

        def delete() -> BulkRequest:
            assert kept.wait(LONG)
            return verbs.deletions.delete([A], SERIAL, verbs.caller)

        monkeypatch.setattr(ChunkCommit, "finish", finish_late)
        _, deletion = at_once(verbs.work, delete)

    assert verbs.codes(waiting) == {A: "created", B: "created"}
    (item,) = verbs.items(deletion)
    assert item.result is not None
    assert item.result.certificate_id is not None
    assert current(verbs) == {B}


def test_deletions_and_workers_at_once_leave_nothing_half_done(postgres_verbs: Verbs) -> None:
    """Lists in opposite orders, over what is kept and what three workers are keeping at the same time."""
    verbs = postgres_verbs
    serials = [f"SERIAL{number:06}" for number in range(300)]
    same = a_pkcs12()
    for _ in range(2):
        verbs.import_bundle(a_bundle(serials[:60]))
    waiting = verbs.accept(a_bundle(serials, files=dict.fromkeys(serials[60:], same)))

    def delete(identities: list[str]) -> BulkRequest:
        return verbs.deletions.delete(identities, SERIAL, verbs.caller)

    forwards, backwards, *_ = at_once(
        lambda: delete(serials[:200]), lambda: delete(serials[199::-1]), verbs.work, verbs.work, verbs.work
    )

    request = verbs.intake.wait(waiting.id, 0)
    assert request.state.is_finished
    assert request.counts.done == 300
    codes = verbs.codes(request)
    found = [verbs.codes(forwards), verbs.codes(backwards)]
    # A device was kept, or waited, and was found by one of the two at least; nothing of it was kept since
    # unless the worker began with it after both.
    kept = current(verbs)
    for serial in serials[:200]:
        assert "deleted" in {codes_of[serial] for codes_of in found}, serial
        assert codes[serial] == "deleted_meanwhile" or serial not in kept
    assert kept <= set(serials)


def test_a_deletion_that_met_another_writer_is_tried_again(any_verbs: Verbs, monkeypatch: Any) -> None:
    any_verbs.import_bundle(a_bundle([A]))
    insert, refusals = Items.insert, [Contended("met"), Contended("met")]

    def insert_late(*given: Any) -> None:
        if refusals:
            raise refusals.pop()
        insert(*given)

    monkeypatch.setattr(Items, "insert", insert_late)
    assert any_verbs.deletions.delete([A], SERIAL, any_verbs.caller).counts.deleted == 1
    assert [event.type for event in events(any_verbs.store)].count(EventType.CERTIFICATE_DELETED) == 1

    refusals += [Contended("met")] * 3
    with pytest.raises(Contended):
        any_verbs.deletions.delete([B], SERIAL, any_verbs.caller)


# --- lists of any length, and how they are read -----------------------------------------------------------


def test_a_long_list_is_deleted_whole(any_verbs: Verbs) -> None:
    serials = [f"SERIAL{number:06}" for number in range(6001)]
    waiting = any_verbs.accept(a_bundle(serials[:1100], files=dict.fromkeys(serials[:1100], a_pkcs12())))
    request = any_verbs.deletions.delete(serials, SERIAL, any_verbs.caller)

    assert (request.counts.deleted, request.counts.not_found) == (1100, 4901)
    assert any_verbs.intake.wait(waiting.id, 0).counts.failed == 1100
    with any_verbs.store.reading() as tx:
        assert tx.items.page(request.id, None, 9, "NTk5OQ").items[-1].identity == serials[-1]  # after 5999


@pytest.mark.parametrize("name", ["a\x00b", "\x00", "ß'\"\\u0000\\", "😀", "x" * 5000, "{}", "null", "[1]"])
def test_a_line_that_names_no_device_is_shown_as_it_was_written(any_verbs: Verbs, name: str) -> None:
    request = any_verbs.deletions.delete([name, A], None, any_verbs.caller)

    assert any_verbs.codes(request) == {name.replace("\x00", "\ufffd"): "invalid_identity", A: "not_found"}


def test_a_deletion_finds_its_devices_by_an_index(verbs: Verbs) -> None:
    """The planner of SQLite once read the whole table for each portion of a list."""
    verbs.import_bundle(a_bundle([A, B]))
    told: list[tuple[str, Any]] = []
    sa.event.listen(
        verbs.store.engine, "before_cursor_execute", lambda *given: told.append((given[2], given[3]))
    )
    verbs.deletions.delete([A, B], SERIAL, verbs.caller)

    wanted = {
        "WITH locked AS": "ix_items_identity_waiting",
        "SELECT certificates.id": "ix_certificates_identity",
        "UPDATE certificates": "PRIMARY KEY",
        "DELETE FROM device_keys": "ix_device_keys_identity",
    }
    seen = set()
    with verbs.store.engine.connect() as connection:
        for statement, values in list(told):
            begins = next((start for start in wanted if statement.startswith(start)), None)
            if begins is None or "json_each" not in statement:
                continue
            steps = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            tables = ("items", "certificates", "device_keys")
            reads = [
                step for step in steps if step.startswith(("SEARCH", "SCAN")) and step.split()[1] in tables
            ]
            assert wanted[begins] in reads[0], reads
            assert all(read.startswith("SEARCH") for read in reads), reads
            seen.add(begins)
    assert seen == set(wanted)
