"""Connections: durable, consistent, and refusing plainly when the database cannot."""

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from bulkcert.errors import StorageFull, Unavailable
from bulkcert.store import Store
from bulkcert.store.engine import transaction


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("synchronous", 2),
        ("journal_mode", "wal"),
        ("secure_delete", 1),
        ("foreign_keys", 1),
        ("busy_timeout", 10_000),
    ],
)
def test_every_connection_has_its_pragmas(store: Store, pragma: str, value: object) -> None:
    connections = [store.engine.connect() for _ in range(3)]
    try:
        assert {c.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for c in connections} == {value}
    finally:
        for connection in connections:
            connection.close()


def test_what_a_block_wrote_is_gone_where_it_raised(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.writing() as tx:
        tx.draw_ids("chunks", 10)
        raise ZeroDivisionError

    with store.writing() as tx:
        assert tx.draw_ids("chunks", 1) == range(1, 2)


def test_readers_do_not_wait_for_a_writer_and_see_what_was_committed(store: Store) -> None:
    with store.writing() as tx:
        tx.keys.insert_check("x", b"1")
        with store.reading() as other:
            assert other.keys.check("x") is None
    with store.reading() as other:
        assert other.keys.check("x") == b"1"


def test_writers_take_turns(store: Store) -> None:
    drawn: list[int] = []

    def draw() -> None:
        for _ in range(20):
            with store.writing() as tx:
                drawn.append(tx.draw_ids("chunks", 1)[0])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(drawn) == list(range(1, 81))


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'missing' / 'store.sqlite3'}")

    with pytest.raises(Unavailable):
        store.answers()


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("database or disk is full", StorageFull),
        ("disk I/O error", StorageFull),
        ("database is locked", Unavailable),
        ("unable to open database file", Unavailable),
    ],
)
def test_failures_of_the_database_become_refusals(store: Store, text: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal), transaction(store.engine, writing=True):
        raise OperationalError("INSERT", {}, Exception(text))


def test_a_full_disk_keeps_nothing_and_the_store_recovers(store: Store) -> None:
    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with pytest.raises(StorageFull), store.writing() as tx:
        tx._connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        for number in range(1000):
            tx.keys.insert_check(f"x{number}", b"x" * 10_000)

    with store.writing() as tx:
        tx._connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        assert tx.keys.check("x0") is None
        tx.keys.insert_check("x0", b"y")
    with store.engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA integrity_check")).scalar_one() == "ok"


def test_traces_that_cannot_be_scrubbed_now_stop_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> object:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.engine, "raw_connection", fail)

    store.scrub()


def test_a_writer_that_waits_for_its_turn_holds_no_connection(store: Store) -> None:
    done: list[int] = []

    def write() -> None:
        with store.writing() as tx:
            done.append(tx.draw_ids("chunks", 1)[0])

    with store.writing():
        threads = [threading.Thread(target=write) for _ in range(60)]  # more than the pool has
        for thread in threads:
            thread.start()
        assert store.answers()
    for thread in threads:
        thread.join()

    assert len(done) == 60


def test_a_fault_in_a_statement_is_not_called_a_busy_database(store: Store) -> None:
    with pytest.raises(OperationalError), store.writing() as tx:
        tx._connection.exec_driver_sql("SELECT nothing FROM nowhere")
