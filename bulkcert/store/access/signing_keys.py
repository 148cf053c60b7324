"""Signing keys, and the sealed check of the master key."""

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.access import signing_keys
from bulkcert.store.tables.schema import vault_checks

MASTER_KEY_CHECK = "master_key"
"""The id of the sealed check of the master key."""


@dataclass(frozen=True)
class KeptSigningKey:
    """A signing key with its sealed private half."""

    id: str
    public_pem: str
    sealed_private_pem: bytes


class Keys:
    """Rows of signing keys, and of the sealed check of the master key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert_signing_key(self, key: KeptSigningKey, now: datetime) -> None:
        """Insert a signing key."""
        self._connection.execute(sa.insert(signing_keys).values(asdict(key) | {"created_at": now}))

    def signing_keys(self) -> tuple[KeptSigningKey, ...]:
        """Return all signing keys, newest first."""
        rows = self._connection.execute(sa.select(signing_keys).order_by(signing_keys.c.created_at.desc()))
        return tuple(value_of(KeptSigningKey, row) for row in rows)

    def insert_check(self, check_id: str, sealed: bytes) -> None:
        """Insert a sealed value that only the right master key opens."""
        self._connection.execute(sa.insert(vault_checks).values(id=check_id, sealed=sealed))

    def replace_check(self, check_id: str, sealed: bytes) -> None:
        """Replace the sealed value of a check."""
        self._connection.execute(
            sa.update(vault_checks).where(vault_checks.c.id == check_id).values(sealed=sealed)
        )

    def check(self, check_id: str) -> bytes | None:
        """Return the sealed value of a check; None if there is none."""
        return self._connection.execute(
            sa.select(vault_checks.c.sealed).where(vault_checks.c.id == check_id)
        ).scalar_one_or_none()
