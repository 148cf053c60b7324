"""The keys that sign tokens. Public halves are derived from the sealed private ones.

The column with the public half is for releases before this one: writing it admits nobody.
"""

import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bulkcert.errors import BrokenSeal
from bulkcert.store.access.signing_keys import KeptSigningKey
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.events import Event, EventType
from bulkcert.values.secret import Secret
from bulkcert.vault.places import signing_key_place
from bulkcert.vault.vault import Vault

log = structlog.get_logger()


class SigningKeys:
    """Ed25519 keys (RFC 8032), the newest of which signs."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._derived: dict[tuple[str, bytes], bytes | None] = {}

    def insert(self, tx: Transaction, now: datetime) -> None:
        """Insert a new key, with its event."""
        key = Ed25519PrivateKey.generate()
        key_id = secrets.token_hex(8)
        private_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        sealed = self._vault.seal(Secret(private_pem), signing_key_place(key_id))
        kept = KeptSigningKey(key_id, _public_pem(Secret(private_pem)).decode(), sealed)
        tx.keys.insert_signing_key(kept, now)
        tx.events.append(Event(EventType.SIGNING_KEY_CREATED, now, "system", {"key_id": key_id}))

    def newest(self) -> tuple[str, Secret]:
        """Open the newest key that opens, or raise `BrokenSeal`: its id, its private half as PKCS#8 PEM."""
        failure = BrokenSeal("There is no signing key that opens.")
        for kept in self._read():
            try:
                return kept.id, self._open(kept)
            except BrokenSeal as broken:
                failure = broken
        raise failure

    def public_keys(self) -> Mapping[str, bytes]:
        """Return the public halves as PEM, by id; a key that does not open is left out."""
        known, derived = self._derived, {}
        for kept in self._read():
            key = kept.id, kept.sealed_private_pem
            derived[key] = known[key] if key in known else self._derive(kept)
        self._derived = derived  # every request asks: a sealed key is opened once
        return {key_id: pem for (key_id, _), pem in derived.items() if pem is not None}

    def find_forged(self) -> Iterator[str]:
        """Yield the ids of keys that do not open, or whose clear public half is another one."""
        for kept in self._read():
            derived = self._derive(kept)
            if derived is None or derived.decode() != kept.public_pem:
                yield kept.id

    def _read(self) -> tuple[KeptSigningKey, ...]:
        with self._store.reading() as tx:
            return tx.keys.signing_keys()

    def _derive(self, kept: KeptSigningKey) -> bytes | None:
        try:
            return _public_pem(self._open(kept))
        except BrokenSeal:
            log.critical("a signing key does not unseal", key_id=kept.id)
            return None

    def _open(self, kept: KeptSigningKey) -> Secret:
        return self._vault.open(kept.sealed_private_pem, signing_key_place(kept.id))


def _public_pem(private_pem: Secret) -> bytes:
    key = serialization.load_pem_private_key(private_pem.reveal(), password=None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
