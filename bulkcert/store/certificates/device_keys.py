"""Sealed keys of devices, and the owners of public keys: each belongs to one device identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import NotFound
from bulkcert.store.certificates.certificates import DEVICE
from bulkcert.store.readable import readable, refuse_unknown
from bulkcert.store.sql import lists
from bulkcert.store.sql.lists import texts
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.certificates import certificate_chains, certificates, device_keys
from bulkcert.values.certificates import CertificateState
from bulkcert.values.identities import DeviceIdentity, IdentityType


@dataclass(frozen=True)
class KeptKey:
    """Everything a release needs: the sealed key, the DER of leaf and chain, and their device."""

    id: int
    identity: DeviceIdentity
    fingerprint_sha256: str
    public_key_sha256: str
    sealed_private_key: bytes
    der: bytes
    chain: tuple[bytes, ...]


class DeviceKeys:
    """Rows of public keys and the device identities that own them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def owners(self, public_keys: Sequence[str]) -> dict[str, DeviceIdentity]:
        """Return the owners of public keys; keys without an owner are left out."""
        wanted = texts(self._connection, public_keys)
        rows = self._connection.execute(
            sa.select(device_keys).where(device_keys.c.public_key_sha256.in_(wanted))
        )
        return {
            row.public_key_sha256: DeviceIdentity(IdentityType(row.identity_type), row.identity)
            for row in rows
        }

    def insert(self, owners: Mapping[str, DeviceIdentity]) -> None:
        """Insert owners of public keys, sorted by key, so that two writers cannot deadlock."""
        rows = [
            {"public_key_sha256": public_key, "identity_type": owner.type, "identity": owner.value}
            for public_key, owner in sorted(owners.items(), key=itemgetter(0))
        ]
        lists.insert(self._connection, device_keys, rows)

    def delete_unused(self, public_key: str) -> None:
        """Delete the owner of a public key, unless a certificate with that key remains."""
        kept = sa.select(certificates.c.id).where(
            certificates.c.kind == DEVICE,
            certificates.c.public_key_sha256 == public_key,
            certificates.c.state != CertificateState.DELETED,
        )
        self._connection.execute(
            sa.delete(device_keys).where(device_keys.c.public_key_sha256 == public_key, ~kept.exists())
        )

    def delete_of(self, identity_type: IdentityType, identities: Sequence[str]) -> None:
        """Delete the public keys of some devices."""
        self._connection.execute(
            sa.delete(device_keys).where(
                device_keys.c.identity_type == identity_type,
                device_keys.c.identity.in_(texts(self._connection, identities)),
            )
        )

    def find_sealed(self, certificate_id: int) -> KeptKey:
        """Return the sealed key of a device certificate that is not deleted, or raise `NotFound`."""
        row = self._connection.execute(
            sa.select(certificates).where(
                certificates.c.id == certificate_id,
                certificates.c.kind == DEVICE,
                certificates.c.state != CertificateState.DELETED,
            )
        ).first()
        if row is None:
            raise NotFound("There is no such certificate.")
        chain = self._connection.execute(
            sa.select(certificates.c.der)
            .join(certificate_chains, certificate_chains.c.chain_id == certificates.c.id)
            .where(certificate_chains.c.certificate_id == certificate_id)
            .order_by(certificate_chains.c.position)
        ).scalars()
        return kept_key(row, tuple(chain))

    def page(
        self, after: int, limit: int, *, of_format: bytes | None = None
    ) -> list[tuple[int, KeptKey | None]]:
        """Return sealed keys without chains, with the ids of their certificates, in the order of ids.

        The key is None if its row cannot be read.

        Args:
            after: the id before the first one.
            limit: the most keys to return.
            of_format: only keys with this first byte, whose rows are locked until the transaction ends.
        """
        sealed = certificates.c.sealed_private_key
        query = sa.select(certificates).where(
            certificates.c.id > after, certificates.c.kind == DEVICE, sealed.is_not(None)
        )
        if of_format is not None:
            query = query.where(sa.func.substr(sealed, 1, 1) == of_format).with_for_update()
        return [
            (row.id, readable(kept_key, row, ()))
            for row in self._connection.execute(query.order_by(certificates.c.id).limit(limit))
        ]

    def replace_sealed(self, sealed_by_id: Mapping[int, bytes]) -> None:
        """Replace the sealed keys of certificates, by certificate id."""
        if sealed_by_id:
            self._connection.execute(
                sa.update(certificates)
                .where(certificates.c.id == sa.bindparam("of"))
                .values(sealed_private_key=sa.bindparam("sealed")),
                [{"of": number, "sealed": sealed} for number, sealed in sealed_by_id.items()],
            )


@refuse_unknown("certificate")
def kept_key(row: Row[Any], chain: tuple[bytes, ...]) -> KeptKey:
    """Return the key in a row of `certificates`, or raise `ForgedRows`."""
    identity = DeviceIdentity(IdentityType(row.identity_type), row.identity)
    return value_of(KeptKey, row, identity=identity, chain=chain)
