"""The vault seals and opens secrets; nothing secret is stored outside it.

Every record gets a random data key; the data key is wrapped by the master key whose id stands in the
wrapping (envelope encryption). AES-256-GCM throughout (NIST SP 800-38D); table, row and field are
associated data, so a ciphertext moved to another place does not open. A random 96-bit nonce under a data
key that seals once cannot repeat; wrappings under one master key are bounded by 2^32 (SP 800-38D §8.3),
far above any fleet.

Sealed form: format (1) | master key id (8) | nonce (12) | wrapped data key (32+16) | nonce (12) |
ciphertext and tag. Format 1 is bound to a place, format 2 to a place and to whose the record is, so that rows
whose other columns were swapped do not open.
"""

import hmac
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bulkcert.errors import BrokenSeal
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import MasterKey
from bulkcert.vault.places import OWNED, PLACED, Place

_KEY_ID = slice(1, 9)
_WRAP_NONCE = slice(9, 21)
_WRAPPED = slice(21, 69)
_NONCE = slice(69, 81)
_HEADER = 81
_TAG = 16
_BROKEN = "A sealed record does not open: it was altered, moved, or sealed under a key that is not here."


class Vault:
    """Seals under the first master key, opens under any of them."""

    def __init__(
        self, keys: tuple[MasterKey, ...], random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._random = random_bytes
        self._ciphers = {key.id: AESGCM(key.key.reveal()) for key in keys}
        self._sealing_id = keys[0].id
        self._digest_key = _derive(keys[-1].key)

    def seal(self, secret: Secret, place: Place) -> bytes:
        """Encrypt `secret` for `place`; the result is 97 bytes longer."""
        bound = place.associated_data(place.format)
        data_key = self._random(32)
        wrap_nonce, nonce = self._random(12), self._random(12)
        wrapped = self._ciphers[self._sealing_id].encrypt(wrap_nonce, data_key, place.format + bound)
        sealed = AESGCM(data_key).encrypt(nonce, secret.reveal(), bound)
        return b"".join((place.format, self._sealing_id, wrap_nonce, wrapped, nonce, sealed))

    def open(self, sealed: bytes, place: Place, *, must_be_owned: bool = False) -> Secret:
        """Decrypt what `seal` made for the same place, or raise `BrokenSeal`.

        must_be_owned: whether a record of format 1, which is bound to no owner, is refused as well.
        """
        if must_be_owned and sealed[:1] != OWNED:
            raise BrokenSeal(_BROKEN)
        data_key = self._unwrap(sealed, place)
        bound = place.associated_data(sealed[:1])
        try:
            return Secret(AESGCM(data_key).decrypt(sealed[_NONCE], sealed[_HEADER:], bound))
        except InvalidTag:
            raise BrokenSeal(_BROKEN) from None

    def rewrap(self, sealed: bytes, place: Place) -> bytes:
        """Wrap the data key of a record under the sealing key; the record itself is not opened."""
        data_key = self._unwrap(sealed, place)
        wrap_nonce = self._random(12)
        bound = sealed[:1] + place.associated_data(sealed[:1])
        wrapped = self._ciphers[self._sealing_id].encrypt(wrap_nonce, data_key, bound)
        return b"".join((sealed[:1], self._sealing_id, wrap_nonce, wrapped, sealed[69:]))

    def digest(self, content: bytes, purpose: str) -> str:
        """Digest `content` under a key of the vault: 64 hex digits that nobody else can compute or test."""
        return hmac.new(self._digest_key, purpose.encode() + b"\x00" + content, "sha256").hexdigest()

    def _unwrap(self, sealed: bytes, place: Place) -> bytes:
        sealed_format = sealed[:1]
        if len(sealed) < _HEADER + _TAG or sealed_format not in {PLACED, OWNED}:
            raise BrokenSeal(_BROKEN)
        cipher = self._ciphers.get(sealed[_KEY_ID])
        if cipher is None:
            raise BrokenSeal(_BROKEN)
        try:
            bound = sealed_format + place.associated_data(sealed_format)
            return cipher.decrypt(sealed[_WRAP_NONCE], sealed[_WRAPPED], bound)
        except InvalidTag:
            raise BrokenSeal(_BROKEN) from None


def _derive(key: Secret) -> bytes:
    return hmac.new(key.reveal(), b"bulkcert digest key", "sha256").digest()
