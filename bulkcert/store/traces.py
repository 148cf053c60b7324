"""Traces of deleted secrets in the database's own files, and their removal.

A deletion inserts a trace in its own transaction; the trace is deleted once a process has scrubbed the files.
A scrub that a reader delays is therefore repeated, also after a restart.

SQLite: `secure_delete` zeroes deleted rows in new copies of their pages. The old copies are in the database
file until a checkpoint, and in the WAL until it is truncated; a reader with an open view delays both
(https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).

PostgreSQL: the deleted rows are dead tuples, which VACUUM removes as soon as no transaction can see them
(https://www.postgresql.org/docs/current/routine-vacuuming.html). Their bytes are then free space.
"""

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bulkcert.store.tables.certificates import certificates
from bulkcert.store.tables.imports import chunks, items
from bulkcert.store.tables.mdm import mdm_servers
from bulkcert.store.tables.schema import traces

_WITH_SECRETS = (certificates, chunks, mdm_servers, items)
"""Tables with sealed secrets, or with the names of their owners."""


class Traces:
    """Rows of deletions whose secrets may still be in the database's files."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self) -> None:
        """Record that this transaction deletes a secret."""
        self._connection.execute(sa.insert(traces).values(id=secrets.token_hex(16)))

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all traces."""
        return tuple(self._connection.execute(sa.select(traces.c.id)).scalars())

    def forget(self, ids: Sequence[str]) -> None:
        """Delete traces that were scrubbed."""
        self._connection.execute(sa.delete(traces).where(traces.c.id.in_(ids)))


def truncate_log(engine: Engine) -> bool:
    """Move SQLite's WAL into the database file and truncate it; return False if that was delayed.

    It never waits: neither for a reader, nor for a writer, nor for a connection of the pool.
    """
    (path, *_), named = engine.dialect.create_connect_args(engine.url)
    options: dict[str, Any] = {**named, "timeout": 0, "isolation_level": None}
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, **options)) as connection:
        is_busy, _in_log, _moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy
    return False


def vacuum(engine: Engine) -> bool:
    """Remove PostgreSQL's dead tuples from the tables with secrets; return False if some stay.

    They stay while a transaction, a replication slot or a standby may still read them. This takes seconds for
    a large table, blocks no reader or writer, and stops if the server is busy.
    """
    with suppress(DBAPIError), engine.connect() as opened:
        connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        for table in _WITH_SECRETS:
            connection.exec_driver_sql(f"VACUUM {table.name}")
        return all(_dead_tuples(connection, table.name) == 0 for table in _WITH_SECRETS)
    return False


def _dead_tuples(connection: Connection, table: str) -> int:
    """Return the number of dead tuples in a table, and in the table of its long values (TOAST)."""
    query = sa.text(
        "SELECT sum(pg_stat_get_dead_tuples(named.oid)) FROM pg_class AS owner JOIN pg_class AS named"
        " ON named.oid IN (owner.oid, owner.reltoastrelid) WHERE owner.oid = to_regclass(:name)"
    )
    return int(connection.execute(query, {"name": table}).scalar_one() or 0)
