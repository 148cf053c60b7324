"""Advisory locks, which belong to no row and last until a transaction ends."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.engine import Connection

KEEPING = "keeping"
"""Shared by the commits of workers; exclusive for deletions of devices and changes of policies.

Without it each would miss the uncommitted rows of the other: a device would be left without its deployment,
or a key without its owner.
"""


def lock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Lock a name until the transaction ends; does nothing on SQLite, which has one writer.

    shared: whether others may share the lock; otherwise it is exclusive.
    """
    if connection.dialect.name == "postgresql":
        take = sa.func.pg_advisory_xact_lock_shared if shared else sa.func.pg_advisory_xact_lock
        connection.execute(sa.select(take(sa.cast(_number(name), sa.BigInteger))))


def _number(name: str) -> int:
    """Return the 64 bits that name a lock in PostgreSQL, the same on every machine and in every release."""
    return int.from_bytes(hashlib.sha256(f"bulkcert {name}".encode()).digest()[:8], signed=True)
