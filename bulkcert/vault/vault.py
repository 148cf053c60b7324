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

import hashlib
import hmac
import os
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bulkcert.errors import (
    BrokenSeal,
    MasterKeyExposed,
    MasterKeyMissing,
    NoAccess,
    WrongMasterKey,
    reason_of,
)
from bulkcert.values.secret import Secret

PLACED, OWNED = b"\x01", b"\x02"
"""The formats of sealed records."""

_KEY_ID = slice(1, 9)
_WRAP_NONCE = slice(9, 21)
_WRAPPED = slice(21, 69)
_NONCE = slice(69, 81)
_HEADER = 81
_TAG = 16
_BROKEN = "A sealed record does not open: it was altered, moved, or sealed under a key that is not here."


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


@dataclass(frozen=True)
class MasterKey:
    """One 256-bit key that wraps data keys. Its id is a digest of it, and tells nothing of it."""

    key: Secret

    @property
    def id(self) -> bytes:
        """Name the key: 8 bytes, the same on every machine that has it."""
        return hashlib.sha256(b"bulkcert master key id" + self.key.reveal()).digest()[:8]


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


def new_master_key(random_bytes: Callable[[int], bytes] = os.urandom) -> MasterKey:
    """Make a master key."""
    return MasterKey(Secret(random_bytes(32)))


def write_key_file(path: Path, keys: tuple[MasterKey, ...]) -> None:
    """Write a key file, one key in hex per line, the sealing key first; mode 0600, never over another."""
    lines = "".join(f"{key.key.reveal().hex()}\n" for key in keys)
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        os.link(written, path)  # all of it under its name, or nothing: half a key file would lose every key
    finally:
        Path(written).unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_key_file(path: Path, *, may_be_shared: bool = False) -> tuple[MasterKey, ...]:
    """Read a key file. may_be_shared: whether others than its owner may have access to it.

    Raises `MasterKeyMissing` where there is none, `NoAccess` where it cannot be read, `WrongMasterKey` where
    it holds something else, and `MasterKeyExposed`. Each text names the path.
    """
    try:
        lines = path.read_bytes().split()
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise MasterKeyMissing(f"There is no master key at {path}.") from None
    except OSError as failure:
        raise NoAccess(f"The master key {path} cannot be read: {reason_of(failure)}.") from None
    try:
        keys = tuple(bytes.fromhex(line.decode("ascii")) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key) != 32 for key in keys):
        raise WrongMasterKey(f"{path} does not hold keys of 64 hex digits, one on each line.")
    if mode & 0o077 and not may_be_shared:
        raise MasterKeyExposed(
            f"The master key {path} is open to others than its owner (mode {mode & 0o777:04o})."
            f" Type: chmod 600 {shlex.quote(str(path))}"
        )
    return tuple(MasterKey(Secret(key)) for key in keys)
