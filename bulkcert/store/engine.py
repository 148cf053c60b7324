"""Connections and transactions, and how a database's own failures become refusals."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from bulkcert.errors import StorageFull, Unavailable

BUSY_SECONDS = 10
"""How long a writer waits for its turn."""

_UNREACHABLE = ("locked", "busy", "unable to open", "connect", "terminat")
_WRITING = "bulkcert_writing"


def make_engine(url: str) -> Engine:
    """Make the engine for a database URL. SQLite: WAL, synchronous=FULL on every connection (promise P3)."""
    engine = sa.create_engine(url, pool_size=20, max_overflow=20, pool_timeout=10)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_pragmas)
        sa.event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: "sa.PoolProxiedConnection", _record: ConnectionPoolEntry) -> None:
    # Driver transactions off: `_begin` says whether a transaction writes, so that readers never wait.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a commit that was answered survives a power loss
        "secure_delete=ON",  # deleted rows are overwritten with zeros
        "foreign_keys=ON",
        f"busy_timeout={BUSY_SECONDS * 1000}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def transaction(engine: Engine, *, writing: bool) -> Iterator[Connection]:
    """Run one transaction; raises `Unavailable` or `StorageFull` where the database cannot."""
    try:
        with engine.connect() as opened:
            connection = opened.execution_options(**{_WRITING: writing})
            with connection.begin():
                yield connection
    except PoolTimeout:
        raise Unavailable("The database has no free connection.") from None
    except OperationalError as failure:
        if (refusal := _refusal(failure)) is None:
            raise
        raise refusal from failure


def _refusal(failure: OperationalError) -> Unavailable | StorageFull | None:
    """Name what the database cannot do for the moment; None where the fault is ours."""
    # The driver's text is fixed; statement and values are not looked at, and do not leave this line.
    text = str(failure.orig)
    if "full" in text or "disk I/O" in text:
        return StorageFull("The data volume is full or cannot be written.")
    if any(word in text for word in _UNREACHABLE):
        return Unavailable("The database is busy or cannot be reached.")
    return None
