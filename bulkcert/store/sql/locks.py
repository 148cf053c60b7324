"""Locks that belong to no row, held until a transaction ends."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.engine import Connection

KEEPING = "keeping"
"""Shared by workers' commits; whoever deletes devices or changes a policy has it alone.

Without it each of the two would miss what the other has not committed yet: a device would be left without its
deployment, or a key without its owner.
"""


def lock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Hold the lock of a name until the transaction ends; nothing on SQLite, which has one writer.

    shared: with others who hold it so, but with nobody who holds it alone.
    """
    if connection.dialect.name == "postgresql":
        take = sa.func.pg_advisory_xact_lock_shared if shared else sa.func.pg_advisory_xact_lock
        connection.execute(sa.select(take(sa.cast(_number(name), sa.BigInteger))))


def _number(name: str) -> int:
    """Make the 64 bits that PostgreSQL knows a lock by, the same ones on every machine and release."""
    return int.from_bytes(hashlib.sha256(f"bulkcert {name}".encode()).digest()[:8], signed=True)
