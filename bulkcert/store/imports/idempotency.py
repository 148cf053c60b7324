"""Idempotency keys: at most one bulk request each, ensured by the table's primary key."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.errors import IdempotencyKeyReused
from bulkcert.store.tables.imports import idempotency_keys
from bulkcert.values.idempotency import KEPT, IdempotencyKey


class IdempotencyKeys:
    """Rows of idempotency keys."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, key: IdempotencyKey, now: datetime) -> str | None:
        """Return the id of the bulk request of a key; None if the key is new or has expired.

        Raises `IdempotencyKeyReused` if the key came with another request.
        """
        row = self._connection.execute(
            sa.select(idempotency_keys).where(*_same(key), idempotency_keys.c.created_at > now - KEPT)
        ).first()
        if row is None:
            return None
        if row.digest != key.digest:
            raise IdempotencyKeyReused("This Idempotency-Key was sent with another request.")
        found: str = row.request_id
        return found

    def keep(self, key: IdempotencyKey, request_id: str, now: datetime) -> None:
        """Insert a key that `find` did not find."""
        self._connection.execute(
            sa.delete(idempotency_keys).where(*_same(key), idempotency_keys.c.created_at <= now - KEPT)
        )
        values = {
            "principal_id": key.principal_id,
            "route": key.route,
            "key": key.key,
            "digest": key.digest,
            "request_id": request_id,
            "created_at": now,
        }
        self._connection.execute(sa.insert(idempotency_keys).values(values))

    def forget_old(self, now: datetime) -> None:
        """Delete expired keys."""
        self._connection.execute(
            sa.delete(idempotency_keys).where(idempotency_keys.c.created_at <= now - KEPT)
        )


def _same(key: IdempotencyKey) -> tuple[sa.ColumnElement[bool], ...]:
    column = idempotency_keys.c
    return (column.principal_id == key.principal_id, column.route == key.route, column.key == key.key)
