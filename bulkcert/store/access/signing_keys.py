"""Signing keys, login throttles, and the check of the master key."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.tables.access import signing_keys
from bulkcert.store.tables.schema import vault_checks

MASTER_KEY_CHECK = "master_key"
"""The id of the sealed check of the master key."""


@dataclass(frozen=True)
class KeptSigningKey:
    """A signing key with its private half sealed."""

    id: str
    public_pem: str
    sealed_private_pem: bytes


class Keys:
    """Signing keys, newest first, and the sealed check of the master key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert_signing_key(self, key: KeptSigningKey, now: datetime) -> None:
        """Keep a new signing key."""
        self._connection.execute(
            sa.insert(signing_keys).values(
                id=key.id,
                public_pem=key.public_pem,
                sealed_private_pem=key.sealed_private_pem,
                created_at=now,
            )
        )

    def signing_keys(self) -> tuple[KeptSigningKey, ...]:
        """Read all signing keys, the newest first."""
        rows = self._connection.execute(sa.select(signing_keys).order_by(signing_keys.c.created_at.desc()))
        return tuple(KeptSigningKey(row.id, row.public_pem, row.sealed_private_pem) for row in rows)

    def insert_check(self, check_id: str, sealed: bytes) -> None:
        """Keep a sealed value that only the right master key opens."""
        self._connection.execute(sa.insert(vault_checks).values(id=check_id, sealed=sealed))

    def replace_check(self, check_id: str, sealed: bytes) -> None:
        """Keep another value in the place of that one."""
        self._connection.execute(
            sa.update(vault_checks).where(vault_checks.c.id == check_id).values(sealed=sealed)
        )

    def check(self, check_id: str) -> bytes | None:
        """Read that value."""
        return self._connection.execute(
            sa.select(vault_checks.c.sealed).where(vault_checks.c.id == check_id)
        ).scalar_one_or_none()
