"""Key derivation: PKCS#12's own (RFC 7292 Appendix B), PBKDF1, PBKDF2 and scrypt; callers spend the cost."""

import hashlib
from collections.abc import Callable
from enum import IntEnum
from functools import partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bulkcert.formats.pkcs12 import libcrypto
from bulkcert.formats.pkcs12.oids import DIGESTS

_PRFS: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - what files in use name
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha512_224": hashes.SHA512_224(),
    "sha512_256": hashes.SHA512_256(),
}


class Purpose(IntEnum):
    """What a PKCS#12 derivation is for: the diversifier ID of RFC 7292 §B.3."""

    KEY = 1
    IV = 2
    MAC = 3


def derive_pbkdf2(prf: str, password: bytes, salt: bytes, iterations: int, size: int) -> bytes:
    """Derive `size` octets by PBKDF2 (RFC 8018 §5.2); prf: the digest under its HMAC, by hashlib's name."""
    return PBKDF2HMAC(_PRFS[prf], size, salt, iterations).derive(password)


def derive_pbkdf1(digest: str, password: bytes, salt: bytes, iterations: int, size: int) -> bytes:
    """Derive `size` octets, at most the digest's, by PBKDF1 (RFC 8018 §5.1)."""
    make = _digest(digest)
    result = password + salt
    for _ in range(iterations):
        result = make(result).digest()
    return result[:size]


def derive_scrypt(
    password: bytes, salt: bytes, cost: int, block_size: int, parallelization: int, size: int
) -> bytes:
    """Derive `size` octets by scrypt (RFC 7914 §6); `ValueError` for parameters that it cannot have."""
    return Scrypt(salt, size, cost, block_size, parallelization).derive(password)


def derive_pkcs12(
    digest: str, password: bytes, salt: bytes, iterations: int, size: int, purpose: Purpose
) -> bytes:
    """Derive `size` octets by PKCS#12's derivation; password: encoded as `passwords` says (RFC 7292 §B.1)."""
    if _NATIVE is not None and digest in _NATIVE_DIGESTS:
        return _NATIVE.derive(digest, password, salt, iterations, size, purpose)
    return derive_pkcs12_in_python(digest, password, salt, iterations, size, purpose)


def derive_pkcs12_in_python(
    digest: str, password: bytes, salt: bytes, iterations: int, size: int, purpose: Purpose
) -> bytes:
    """Do the same with hashlib alone (RFC 7292 §B.2)."""
    make = _digest(digest)
    block = make().block_size
    inputs = bytearray(_fill(salt, block) + _fill(password, block))
    derived = b""
    while True:
        result = make(bytes([purpose]) * block + inputs).digest()
        for _ in range(iterations - 1):
            result = make(result).digest()
        derived += result
        if len(derived) >= size:
            return derived[:size]
        _advance(inputs, _fill(result, block)[:block], block)


def _digest(name: str) -> Callable[..., "hashlib._Hash"]:
    return getattr(hashlib, name, None) or partial(hashlib.new, name)


def engine() -> str:
    """Name what PKCS#12's derivation runs on: "libcrypto", or "python", which is several times slower."""
    return "libcrypto" if _NATIVE_DIGESTS else "python"


def _fill(octets: bytes, block: int) -> bytes:
    """Repeat octets up to a multiple of the block (RFC 7292 §B.2 steps 2 and 3)."""
    size = -(-len(octets) // block) * block
    return (octets * (size // len(octets) + 1))[:size] if octets else b""


def _advance(inputs: bytearray, addend: bytes, block: int) -> None:
    """Add B + 1 to every block of I, modulo two to the power of the block's bits (RFC 7292 §B.2 step 6C)."""
    plus = int.from_bytes(addend) + 1
    for at in range(0, len(inputs), block):
        number = int.from_bytes(inputs[at : at + block]) + plus
        inputs[at : at + block] = (number & ((1 << 8 * block) - 1)).to_bytes(block)


def agreeing_digests(native: libcrypto.Derivation | None) -> frozenset[str]:
    """Compare libcrypto with Python; give the digests for which both derive the same."""
    return frozenset(name for name in DIGESTS.values() if native and _agrees(native, name))


def _agrees(native: libcrypto.Derivation, digest: str) -> bool:
    try:
        return all(
            native.derive(digest, password, b"salt" * 5, 3, 100, purpose)
            == derive_pkcs12_in_python(digest, password, b"salt" * 5, 3, 100, purpose)
            for password, purpose in ((b"\0a\0b\0\0", Purpose.KEY), (b"\0\0", Purpose.IV), (b"", Purpose.MAC))
        )
    except ValueError:
        return False


_NATIVE = libcrypto.find(libcrypto.Derivation)
_NATIVE_DIGESTS = agreeing_digests(_NATIVE)
