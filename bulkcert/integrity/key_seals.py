"""Sealed keys of devices: each is bound to its row, its device, and the certificate that it belongs to.

A release before this one seals keys that are bound to their row alone (format 1), and opens no others. Both
forms are taken until `bulkcert db upgrade --finish` has sealed all of them anew; then format 1 is refused.
"""

import hashlib
from contextlib import suppress
from dataclasses import replace

from bulkcert.errors import BrokenSeal, NotFound
from bulkcert.integrity.demand import demands_binding
from bulkcert.store.certificates.device_keys import KeptKey
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.secret import Secret
from bulkcert.vault.places import OWNED, KeyOwner, Place, key_place
from bulkcert.vault.vault import Vault


class KeyOpener:
    """Opens sealed keys of devices."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def open(self, kept: KeptKey) -> Secret:
        """Open the sealed key of a certificate; raises `BrokenSeal` where its row is not as it was sealed."""
        if is_bound(kept):
            return open_key(self._vault, kept, must_be_owned=True)
        with self._store.reading() as tx:
            must_be_owned = demands_binding(tx, self._vault)
            if must_be_owned:
                kept = _read_again(tx, kept)
        return open_key(self._vault, kept, must_be_owned=must_be_owned)


def _read_again(tx: Transaction, kept: KeptKey) -> KeptKey:
    """Return a key as it is sealed now: it may have been sealed anew since it was read."""
    with suppress(NotFound):  # deleted meanwhile
        return replace(kept, sealed_private_key=tx.device_keys.find_sealed(kept.id).sealed_private_key)
    return kept


def open_key(vault: Vault, kept: KeptKey, *, must_be_owned: bool) -> Secret:
    """Open the sealed key of a certificate; raises `BrokenSeal` where the row is not as it was sealed.

    must_be_owned: whether format 1 is refused.
    """
    return vault.open(kept.sealed_private_key, _place_of(kept), must_be_owned=must_be_owned)


def bind_key(vault: Vault, kept: KeptKey) -> bytes:
    """Return a key of format 1 sealed in format 2; raises `BrokenSeal`."""
    return vault.seal(open_key(vault, kept, must_be_owned=False), _place_of(kept))


def is_bound(kept: KeptKey) -> bool:
    """Return whether a key is bound to its device and certificate."""
    return kept.sealed_private_key[:1] == OWNED


def _place_of(kept: KeptKey) -> Place:
    fingerprint = hashlib.sha256(kept.der).hexdigest()  # what leaves is the DER, not the column beside it
    if fingerprint != kept.fingerprint_sha256:
        raise BrokenSeal("A certificate is not the one of its fingerprint: its row was altered.")
    return key_place(kept.id, KeyOwner(kept.identity, fingerprint, kept.public_key_sha256))
