"""Places: where each sealed record stands. It opens nowhere else."""

from dataclasses import dataclass

from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.mdm import NANOMDM

PLACED, OWNED = b"\x01", b"\x02"
"""The formats of sealed records."""


@dataclass(frozen=True)
class Place:
    """Where a sealed record stands, and whose it is. It opens nowhere else.

    owner: clear columns that the record belongs to; without any it is sealed in format 1.
    """

    table: str
    row: str
    field: str
    owner: tuple[str, ...] = ()

    @property
    def format(self) -> bytes:
        """Return the format of records that are sealed for this place."""
        return OWNED if self.owner else PLACED

    def associated_data(self, sealed_format: bytes) -> bytes:
        """Return the bytes that bind a record of a format to this place (lengths keep parts apart)."""
        texts = (self.table, self.row, self.field, *(self.owner if sealed_format == OWNED else ()))
        parts = [text.encode() for text in texts]
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def chunk_place(chunk_id: int) -> Place:
    """Name the place of a chunk's sealed entries."""
    return Place("chunks", str(chunk_id), "sealed_entries")


CHECK_PLACE = Place("vault_checks", "master_key", "sealed")
"""Where a known text is sealed, by which a wrong master key is recognised."""


def signing_key_place(key_id: str) -> Place:
    """Name the place of the sealed private half of a key that signs tokens."""
    return Place("signing_keys", key_id, "sealed_private_pem")


@dataclass(frozen=True)
class KeyOwner:
    """The device and the certificate that a key belongs to, by SHA-256 in hex."""

    identity: DeviceIdentity
    fingerprint_sha256: str
    public_key_sha256: str


def key_place(certificate_id: int, owner: KeyOwner | None) -> Place:
    """Name the place of a device certificate's sealed private key; without owner that of format 1."""
    bound: tuple[str, ...] = ()
    if owner is not None:
        identity = owner.identity
        bound = (identity.type, identity.value, owner.fingerprint_sha256, owner.public_key_sha256)
    return Place("certificates", str(certificate_id), "sealed_private_key", bound)


API_KEY_PLACE = Place("mdm_servers", NANOMDM, "sealed_api_key")
WEBHOOK_KEY_PLACE = Place("mdm_servers", NANOMDM, "sealed_webhook_key")
