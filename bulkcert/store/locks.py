"""Locks that belong to no row, held until a transaction ends."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def lock(connection: Connection, name: str) -> None:
    """Hold the lock of a name until the transaction ends; nothing on SQLite, which has one writer."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(_number(name), sa.BigInteger))))


def _number(name: str) -> int:
    """Make the 64 bits that PostgreSQL knows a lock by, the same ones on every machine and release."""
    return int.from_bytes(hashlib.sha256(f"bulkcert {name}".encode()).digest()[:8], signed=True)
