"""Connections: durable, consistent, and refusing plainly when the database cannot."""

import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from bulkcert.errors import BadSettings, Contended, NotStorable, StorageFull, Unavailable
from bulkcert.store.sql.engine import PoolLimits, transaction
from bulkcert.store.store import Store
from tests.clock import Clock
from tests.postgres import PASSWORD, Cluster, own_cluster

# --- both databases ----------------------------------------------------------------------------------


def test_what_a_block_wrote_is_gone_where_it_raised(any_store: Store) -> None:
    with pytest.raises(ZeroDivisionError), any_store.writing() as tx:
        tx.draw_ids("chunks", 10)
        raise ZeroDivisionError

    with any_store.writing() as tx:
        assert tx.keys.check("x") is None
        tx.keys.insert_check("x", b"1")


def test_readers_do_not_wait_for_a_writer_and_see_what_was_committed(any_store: Store) -> None:
    with any_store.writing() as tx:
        tx.keys.insert_check("x", b"1")
        with any_store.reading() as other:
            assert other.keys.check("x") is None
    with any_store.reading() as other:
        assert other.keys.check("x") == b"1"


def test_a_reader_sees_one_state_to_its_end(any_store: Store) -> None:
    with any_store.reading() as reader:
        assert reader.keys.check("x") is None
        with any_store.writing() as tx:
            tx.keys.insert_check("x", b"1")
        assert reader.keys.check("x") is None


def test_writers_get_different_ids(any_store: Store) -> None:
    drawn: list[int] = []

    def draw() -> None:
        for _ in range(20):
            with any_store.writing() as tx:
                drawn.extend(tx.draw_ids("chunks", 3))

    run_at_once(*[draw] * 4)

    assert len(set(drawn)) == 240


def run_at_once(*works: object) -> None:
    threads = [threading.Thread(target=work) for work in works]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_a_dry_run_leaves_nothing_and_the_transaction_goes_on(any_store: Store) -> None:
    with any_store.writing() as tx:
        tx.keys.insert_check("before", b"1")
        with tx.dry_run():
            tx.keys.insert_check("tried", b"1")
            assert tx.keys.check("tried") == b"1"
        assert tx.keys.check("tried") is None
        tx.keys.insert_check("after", b"1")

    with any_store.reading() as tx:
        assert [tx.keys.check(name) for name in ("before", "tried", "after")] == [b"1", None, b"1"]


def test_a_dry_run_that_fails_is_taken_back_too(any_store: Store) -> None:
    with any_store.writing() as tx:
        tx.keys.insert_check("before", b"1")
        with pytest.raises(IntegrityError), tx.dry_run():
            tx.keys.insert_check("tried", b"1")
            tx.keys.insert_check("before", b"2")
        tx.keys.insert_check("after", b"1")

    with any_store.reading() as tx:
        assert [tx.keys.check(name) for name in ("before", "tried", "after")] == [b"1", None, b"1"]


def test_a_named_lock_is_held_by_one_writer_at_a_time(any_store: Store) -> None:
    found: list[bytes | None] = []

    def look_then_write() -> None:
        with any_store.writing() as tx:
            tx.lock("a name")
            if (check := tx.keys.check("x")) is None:
                time.sleep(0.2)
                tx.keys.insert_check("x", b"1")
            found.append(check)

    run_at_once(*[look_then_write] * 4)

    assert sorted(found, key=bool) == [None, b"1", b"1", b"1"]


def test_a_fault_in_a_statement_is_not_called_a_busy_database(any_store: Store) -> None:
    with pytest.raises((OperationalError, ProgrammingError)), any_store.writing() as tx:
        tx._connection.exec_driver_sql("SELECT nothing FROM nowhere")


def test_a_failure_does_not_quote_what_was_asked_with(any_store: Store) -> None:
    with pytest.raises(DBAPIError) as failure, any_store.writing() as tx:
        tx._connection.execute(sa.text("SELECT * FROM nowhere WHERE x = :word"), {"word": "a secret"})

    assert "nowhere" in str(failure.value)
    assert "secret" not in str(failure.value)


def test_text_with_a_nul_is_kept_and_looked_for(any_store: Store) -> None:
    with any_store.writing() as tx:
        tx.keys.insert_check("nul\x00", b"1")
    with any_store.reading() as tx:
        assert tx.keys.check("nul\x00") == b"1"
        assert tx.keys.check("nul") is None


# --- SQLite ------------------------------------------------------------------------------------------


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


def test_a_new_database_is_waited_for_while_another_process_writes_its_first_page(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # not WAL yet: switching fails at once, without the busy timeout
    ended = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    ended.start()
    store = Store(f"sqlite:///{path}")

    with transaction(store.engine, writing=True) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"

    ended.join()
    other.close()
    store.close()


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'missing' / 'store.sqlite3'}")

    with pytest.raises(Unavailable):
        store.answers()


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_IOERR, StorageFull),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFull),
        (sqlite3.SQLITE_READONLY_DBMOVED, StorageFull),
        (sqlite3.SQLITE_BUSY, Unavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Unavailable),
        (sqlite3.SQLITE_LOCKED, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
        (sqlite3.SQLITE_ERROR, OperationalError),
        (sqlite3.SQLITE_CORRUPT, OperationalError),
    ],
)
def test_codes_of_sqlite_become_refusals(store: Store, code: int, refusal: type[Exception]) -> None:
    failure = sqlite3.OperationalError("a text that says nothing")
    failure.sqlite_errorcode = code

    with pytest.raises(refusal), transaction(store.engine, writing=True):
        raise OperationalError("INSERT", {}, failure)


def test_a_value_that_sqlite_does_not_take_is_refused_by_name(store: Store) -> None:
    with pytest.raises(NotStorable), store.writing() as tx:
        tx._connection.exec_driver_sql("SELECT zeroblob(2000000000)")


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


def test_a_database_that_is_locked_for_long_is_unavailable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
        other = sqlite3.connect(str(store.engine.url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Unavailable), store.writing():
            pass
    finally:
        other.close()


def test_traces_that_cannot_be_scrubbed_now_stop_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> object:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("bulkcert.store.traces.sqlite3.connect", fail)

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


# --- PostgreSQL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TimeZone", "UTC"),
        ("client_encoding", "UTF8"),
        ("application_name", "bulkcert"),
        ("statement_timeout", "2min"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("tcp_user_timeout", "15000"),
        ("synchronous_commit", "on"),
        ("transaction_isolation", "read committed"),
    ],
)
def test_every_connection_has_its_settings(postgres_store: Store, setting: str, value: str) -> None:
    for _ in range(2):  # what is set in a transaction that is rolled back must be there afterwards
        with postgres_store.engine.connect() as connection:
            assert connection.exec_driver_sql(f"SHOW {setting}").scalar_one() == value


@pytest.mark.parametrize(
    ("servers", "ours"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
)
def test_a_commit_is_durable_whatever_the_server_says(postgres: Cluster, servers: str, ours: str) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = {servers}")
    store = Store(url)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == ours
    store.close()


def test_a_reader_cannot_write(postgres_store: Store) -> None:
    with pytest.raises(Unavailable), postgres_store.reading() as tx:
        tx.keys.insert_check("x", b"1")
    with postgres_store.writing() as tx:  # the connection that was read from may write again
        tx.keys.insert_check("x", b"1")


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Cluster) -> None:
    name = f"latin_{time.monotonic_ns()}"
    postgres.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    store = Store(postgres.url(name))
    with pytest.raises(BadSettings, match="text"):
        store.answers()
    store.close()


@pytest.mark.parametrize(
    ("sqlstate", "refusal"),
    [
        ("53100", StorageFull),
        ("58030", StorageFull),
        ("08006", Unavailable),
        ("25P03", Unavailable),
        ("23505", Contended),
        ("40001", Contended),
        ("40P01", Contended),
        ("53200", Unavailable),
        ("53300", Unavailable),
        ("55P03", Unavailable),
        ("57014", Unavailable),
        ("57P01", Unavailable),
        ("57P03", Unavailable),
        ("22001", NotStorable),
        ("22003", NotStorable),
        ("22P05", NotStorable),
        ("42P01", DBAPIError),
        ("23503", DBAPIError),
        ("XX000", DBAPIError),
    ],
)
def test_sqlstates_become_refusals(postgres_store: Store, sqlstate: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal), postgres_store.writing() as tx:
        tx._connection.exec_driver_sql(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")
    assert postgres_store.answers()


def test_two_writers_that_wait_for_each_other_are_told_so(postgres_store: Store) -> None:
    both_hold_one = threading.Barrier(2)
    ends: list[str] = []

    def take(first: str, second: str) -> None:
        try:
            with postgres_store.writing() as tx:
                tx.lock(first)
                both_hold_one.wait(10)
                tx.lock(second)
            ends.append("kept")
        except Contended:
            ends.append("refused")

    run_at_once(lambda: take("a", "b"), lambda: take("b", "a"))

    assert sorted(ends) == ["kept", "refused"]


def test_a_connection_that_the_server_ended_is_replaced(postgres: Cluster, postgres_store: Store) -> None:
    end_all = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'bulkcert'"
    )
    postgres_store.answers()
    postgres.execute(end_all)
    assert postgres_store.answers()  # it was idle: nobody notices

    with pytest.raises(Unavailable), postgres_store.writing() as tx:
        postgres.execute(end_all)
        tx.keys.insert_check("x", b"1")
    with postgres_store.reading() as tx:
        assert tx.keys.check("x") is None


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_is_reached_again(mode: str) -> None:
    with own_cluster() as cluster:
        store = Store(cluster.new_migrated_database())
        with store.writing() as tx:
            tx.keys.insert_check("kept", b"1")
        with pytest.raises(Unavailable), store.writing() as tx:
            cluster.stop(mode)
            tx.keys.insert_check("lost", b"1")
        with pytest.raises(Unavailable):
            store.answers()
        cluster.start()
        with store.writing() as tx:
            assert [tx.keys.check(name) for name in ("kept", "lost")] == [b"1", None]
        store.close()


def test_the_password_is_in_no_failure_and_no_log_line(
    postgres: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    right = postgres.url("postgres")
    urls = [
        right.replace("%3A", "%3B"),  # a password that is wrong by a character
        right.replace("/postgres", "/nowhere"),
        right.replace(f":{postgres.port}/", ":1/"),
    ]
    for url in urls:
        store = Store(url)
        with pytest.raises(Unavailable) as failure:
            store.answers()
        told: list[str] = [repr(store.engine), repr(store.engine.url)]
        cause: BaseException | None = failure.value
        while cause is not None:
            told += [str(cause), repr(cause)]
            cause = cause.__cause__ or cause.__context__
        captured = capsys.readouterr()
        told += [captured.out, captured.err]
        assert "database" in captured.out + captured.err  # the log line says why
        for word in (PASSWORD, PASSWORD.replace(":", ";"), url.split(":")[2].split("@")[0], "odd"):
            assert word not in " ".join(told)
        store.close()


def test_a_pool_without_a_free_connection_is_unavailable(postgres: Cluster) -> None:
    store = Store(postgres.new_migrated_database(), PoolLimits(size=1, overflow=0, timeout_seconds=1))
    with store.reading(), pytest.raises(Unavailable), store.reading():
        pass
    assert store.answers()
    store.close()


def test_the_clock_is_the_databases(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkcert.store.transaction.utc_now", lambda: pytest.fail("this machine's clock"))
    with closing(Store(postgres.new_migrated_database())) as store:
        with store.writing() as tx:
            first, again = tx.now, tx.now
        with store.writing() as tx:
            second = tx.now

    assert first == again < second
    assert first.utcoffset() is not None
    assert abs(time.time() - first.timestamp()) < 5


def test_on_sqlite_the_clock_is_this_machines(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    with closing(Store(f"sqlite:///{tmp_path / 'store.sqlite3'}")) as store, store.reading() as tx:
        assert before <= tx.now <= datetime.now(UTC)


def test_a_store_with_a_clock_reads_it_once_in_a_transaction(any_store: Store, clock: Clock) -> None:
    with any_store.writing() as tx:
        began = tx.now
        clock.pass_by(seconds=1)
        assert tx.now == began
    with any_store.reading() as tx:
        assert tx.now == clock() > began


def test_psycopg_knows_the_classes_that_are_relied_on() -> None:
    # 25P03 comes as InternalError: what is caught must be more than OperationalError.
    assert issubclass(psycopg.errors.lookup("25P03"), psycopg.InternalError)
    assert psycopg.OperationalError.sqlstate is None
