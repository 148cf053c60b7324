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
"""How long a writer waits for its turn, and on PostgreSQL for a lock."""

STATEMENT_SECONDS = 120
"""The longest that one statement may take on PostgreSQL; migrations are exempt."""

IDLE_SECONDS = 60
"""A transaction whose process does nothing for so long loses its locks on PostgreSQL: it may be stopped."""

_SILENT_SECONDS = 15
"""A connection whose other end is silent for so long is given up: a machine or a network may be gone."""

_WRITING = "bulkcert_writing"
_NOBODY = logging.NullHandler()


@dataclass(frozen=True)
class PoolLimits:
    """How many connections one process may hold: `size` kept open, `overflow` more at a peak.

    `timeout_seconds`: the longest wait for a free connection, and for the server to answer a new one.
    Connections are opened when they are needed first.
    """

    size: int = 20
    overflow: int = 20
    timeout_seconds: int = 10


def make_engine(url: str, limits: PoolLimits) -> Engine:
    """Make the engine for a database URL; nothing is connected yet.

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
        # What they tell of broken connections is told by `failures`, once and without values.
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
    """Refuse the values that drivers refuse with Python's own errors: huge numbers, and lone surrogates."""
    if isinstance(context.original_exception, OverflowError | UnicodeEncodeError):
        raise value_refused(context.original_exception)


# --- SQLite ------------------------------------------------------------------------------------------


def _set_pragmas(connection: "sa.PoolProxiedConnection", _record: ConnectionPoolEntry) -> None:
    # Driver transactions off: `_begin` says whether a transaction writes, so that readers never wait.
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
    """Switch a database to WAL; wait while another connection does so, for SQLite itself does not wait here.

    Raises `sqlite3.OperationalError` where it is busy for more than `BUSY_SECONDS`.
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
    """Say how libpq connects; https://www.postgresql.org/docs/current/libpq-connect.html §34.1.2."""
    return {
        "application_name": "bulkcert",
        "client_encoding": "utf8",
        "connect_timeout": max(2, limits.timeout_seconds),  # libpq takes 1 for 2
        # Without these a client whose network is cut waits for hours.
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
    # The server's side of a cut network: what the lost client held is free soon, too.
    "tcp_keepalives_idle": "6",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{_SILENT_SECONDS}s",
}
# A server or role may have synchronous_commit off, which loses commits that were answered; what is stricter
# than `on` (a standby that must have it, too) is left.
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
        # U+0000 is kept as U+FFFD: PostgreSQL's text is without it, and hostile names and searches are not.
        connection.adapters.register_dumper(str, dumper)
    connection.autocommit = True  # settings of a transaction that is rolled back would be lost
    connection.execute(_SET_SESSION)
    connection.autocommit = False


@cache
def _text_dumpers() -> tuple[type, ...]:
    """Make what writes text for PostgreSQL; imported late, for SQLite needs none of it."""
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
    """Run one transaction; raises `Unavailable` or `StorageFull` where the database cannot, `NotStorable`
    where it does not take a value.

    A reading transaction has one view of the database from its first statement to its last.
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
