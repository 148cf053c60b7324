"""PKCS#12 files that no tool writes: put together bag by bag (RFC 7292), as wrong as a story needs them."""

import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

SEQUENCE = 0x30
OCTET_STRING = 0x04
INTEGER = 0x02
CONTEXT_0 = 0xA0

# Object identifiers, DER (RFC 7292 §4.2, RFC 5652 §4, RFC 8017 Appendix B.1).
DATA = bytes.fromhex("06092a864886f70d010701")
SHROUDED_KEY_BAG = bytes.fromhex("060b2a864886f70d010c0a0102")
CERTIFICATE_BAG = bytes.fromhex("060b2a864886f70d010c0a0103")
X509_CERTIFICATE = bytes.fromhex("060a2a864886f70d01091601")
SHA256_WITH_NULL = bytes.fromhex("300d06096086480165030402010500")

ITERATIONS = 2048


def a_pkcs12_of(
    keys: Sequence[PrivateKey],
    certificates: Sequence[bytes],
    password: str,
    *,
    said_iterations: int | None = None,
) -> bytes:
    """Make a PKCS#12 of these keys and certificates (DER), whether they belong together or not.

    said_iterations: what the file claims its integrity check takes; the check is then not a right one.
    """
    bags = [_key_bag(key, password) for key in keys] + [_certificate_bag(der) for der in certificates]
    authenticated = _der(SEQUENCE, _data(_der(SEQUENCE, *bags)))
    salt = hashlib.sha256(authenticated).digest()[:8]
    mac = hmac.digest(_mac_key(password, salt), authenticated, "sha256")
    mac_data = _der(
        SEQUENCE,
        _der(SEQUENCE, SHA256_WITH_NULL, _der(OCTET_STRING, mac)),
        _der(OCTET_STRING, salt),
        _integer(said_iterations or ITERATIONS),
    )
    return _der(SEQUENCE, _integer(3), _data(authenticated), mac_data)


def _key_bag(key: PrivateKey, password: str) -> bytes:
    encrypted = key.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
    )
    return _der(SEQUENCE, SHROUDED_KEY_BAG, _der(CONTEXT_0, encrypted))


def _certificate_bag(der: bytes) -> bytes:
    value = _der(SEQUENCE, X509_CERTIFICATE, _der(CONTEXT_0, _der(OCTET_STRING, der)))
    return _der(SEQUENCE, CERTIFICATE_BAG, _der(CONTEXT_0, value))


def _data(content: bytes) -> bytes:
    return _der(SEQUENCE, DATA, _der(CONTEXT_0, _der(OCTET_STRING, content)))


def _mac_key(password: str, salt: bytes) -> bytes:
    """Derive 32 octets as RFC 7292 §B.2 says: one round of its step 6 is enough for SHA-256."""
    encoded = (password + "\0").encode("utf-16-be")
    result = b"\3" * 64 + _filled(salt) + _filled(encoded)
    for _ in range(ITERATIONS):
        result = hashlib.sha256(result).digest()
    return result


def _filled(octets: bytes) -> bytes:
    length = -(-len(octets) // 64) * 64
    return (octets * (length // len(octets) + 1))[:length]


def _integer(number: int) -> bytes:
    return _der(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
