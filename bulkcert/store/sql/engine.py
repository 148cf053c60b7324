"""Connections and transactions, on SQLite and on PostgreSQL."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from bulkcert.errors import BadSettings, Fault, Unavailable
from bulkcert.store.sql.failures import refusal_for, value_refused

BUSY_SECONDS = 10
"""The longest wait of a writer for its turn, and on PostgreSQL for a lock."""

STATEMENT_SECONDS = 120
"""Time limit of a statement on PostgreSQL; migrations are exempt."""

IDLE_SECONDS = 60
"""A transaction that is idle for so long is ended on PostgreSQL: its process may be stopped."""

_SILENT_SECONDS = 15
"""A connection whose other end is silent for so long is closed: a machine or network may be gone."""

_WRITING = "bulkcert_writing"
_NOBODY = logging.NullHandler()


@dataclass(frozen=True)
class PoolLimits:
    """Limits of the connections of one process: `size` stay open, `overflow` more are opened at a peak.

    `timeout_seconds`: the longest wait for a free connection, and for the server to answer a new one.
    Connections are opened on first use.
    """

    size: int = 20
    overflow: int = 20
    timeout_seconds: int = 10


def make_engine(url: str, limits: PoolLimits) -> Engine:
    """Return the engine for a database URL; nothing is connected yet.

    Every connection commits durably (promise P3): SQLite with WAL and synchronous=FULL, PostgreSQL with
    `synchronous_commit` never off.
    """
    pool = {
        "pool_size": limits.size,
        "max_overflow": limits.overflow,
        "pool_timeout": limits.timeout_seconds,
        "hide_parameters": True,  # an exception must not quote what was uploaded
    }
    for library in ("psycopg", "sqlalchemy"):
        # Broken connections are logged by `failures`, once and without values.
        logging.getLogger(library).addHandler(_NOBODY)
        logging.getLogger(library).propagate = False
    if url.startswith("sqlite:"):
        engine = sa.create_engine(url, **pool)
        sa.event.listen(engine, "connect", _set_pragmas)
        sa.event.listen(engine, "begin", _begin)
        sa.event.listen(engine, "handle_error", _refuse_values)
        return engine
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,  # a server that was restarted is reached again without a failed request
        isolation_level="READ COMMITTED",
        use_native_hstore=False,
        connect_args=_connect_args(limits),
        **pool,
    )
    sa.event.listen(engine, "connect", _set_session)
    sa.event.listen(engine, "handle_error", _refuse_values)
    return engine


def _refuse_values(context: ExceptionContext) -> None:
    """Refuse values that drivers refuse with Python's own errors: huge numbers and lone surrogates."""
    if isinstance(context.original_exception, OverflowError | UnicodeEncodeError):
        raise value_refused(context.original_exception)


# --- SQLite ------------------------------------------------------------------------------------------


def _set_pragmas(connection: "sa.PoolProxiedConnection", _record: ConnectionPoolEntry) -> None:
    # No transactions by the driver: `_begin` starts them, so that readers never wait for a writer.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in (
        "synchronous=FULL",  # a commit that was answered survives a power loss
        "secure_delete=ON",  # deleted rows are overwritten with zeros
        "foreign_keys=ON",
        "cache_size=-16000",  # KiB: a deletion of 100,000 devices takes a third less than with 2 MB
        f"busy_timeout={BUSY_SECONDS * 1000}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:  # noqa: ANN401 - the driver's
    """Switch a database to WAL; wait while another connection does so, because SQLite does not wait here.

    Raises `sqlite3.OperationalError` if it is busy for more than `BUSY_SECONDS`.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


# --- PostgreSQL --------------------------------------------------------------------------------------


def _connect_args(limits: PoolLimits) -> dict[str, Any]:
    """Return the options of libpq; https://www.postgresql.org/docs/current/libpq-connect.html §34.1.2."""
    return {
        "application_name": "bulkcert",
        "client_encoding": "utf8",
        "connect_timeout": max(2, limits.timeout_seconds),  # libpq treats 1 as 2
        # Without these a client waits for hours if the network is cut.
        "keepalives": 1,
        "keepalives_idle": 6,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": _SILENT_SECONDS * 1000,
    }


_SESSION = {
    "TimeZone": "UTC",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{BUSY_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    # The same for the server's side: it frees the locks of a lost client soon.
    "tcp_keepalives_idle": "6",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{_SILENT_SECONDS}s",
}
# A server or role may have synchronous_commit off, which loses acknowledged commits. Settings stricter than
# `on` (which wait for a standby) are left.
_SET_SESSION = (
    "SELECT "
    + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items())
    + ", set_config('synchronous_commit',"
    " replace(current_setting('synchronous_commit'), 'off', 'on'), false)"
)


def _set_session(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - psycopg's
    if connection.info.parameter_status("server_encoding") != "UTF8":
        fault = Fault("BULKCERT_DATABASE_URL", "the database's encoding must be UTF8")
        raise BadSettings("The database cannot hold every text.", (fault,))
    for dumper in _text_dumpers():
        # U+0000 is stored as U+FFFD: hostile names and searches contain it, and PostgreSQL's text cannot.
        connection.adapters.register_dumper(str, dumper)
    connection.autocommit = True  # a rollback would otherwise undo the settings
    connection.execute(_SET_SESSION)
    connection.autocommit = False


@cache
def _text_dumpers() -> tuple[type, ...]:
    """Return the dumpers of text for PostgreSQL; imported late, because SQLite does not need psycopg."""
    from psycopg.types import string

    class Text(string.StrDumper):
        def dump(self, obj: str) -> Any:  # noqa: ANN401 - psycopg's
            return super().dump(obj.replace("\x00", "\ufffd"))

    class Untyped(string.StrDumperUnknown):
        def dump(self, obj: str) -> Any:  # noqa: ANN401 - psycopg's
            return super().dump(obj.replace("\x00", "\ufffd"))

    return Text, Untyped  # the last one is the default, as in psycopg


# --- both --------------------------------------------------------------------------------------------


@contextmanager
def transaction(engine: Engine, *, writing: bool) -> Iterator[Connection]:
    """Run one transaction. A reading one has a single view of the database for all of its statements.

    Raises `Unavailable` or `StorageFull` for a failing database, and `NotStorable` for a refused value.
    """
    options: dict[str, Any] = {_WRITING: writing}
    if engine.dialect.name == "postgresql" and not writing:
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with engine.connect() as opened:
            connection = opened.execution_options(**options)
            with connection.begin():
                yield connection
    except PoolTimeout:
        raise Unavailable("The database has no free connection.") from None
    except DBAPIError as failure:
        if (refusal := refusal_for(failure)) is None:
            raise
        raise refusal from failure
