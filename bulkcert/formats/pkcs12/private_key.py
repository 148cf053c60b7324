"""Loading a private key: which kinds are taken, and what is checked before they are used (RFC 5958)."""

from dataclasses import dataclass
from typing import TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm as NotInTheLibrary
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bulkcert.errors import MalformedPkcs12, UnsupportedAlgorithm
from bulkcert.formats.asn1.ber import CONTEXT_0_CONSTRUCTED, OBJECT_IDENTIFIER, Allowance, Element, read
from bulkcert.formats.pkcs12 import oids
from bulkcert.formats.pkcs12.rsa import check_rsa, read_rsa
from bulkcert.formats.pkcs12.schemes import read_algorithm
from bulkcert.values.limits import Limits

_RSA_KINDS = frozenset({oids.RSA_KEY, oids.RSA_PSS_KEY})
_OTHER_KINDS = frozenset({oids.EC_KEY, oids.ED25519_KEY})
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_CURVES_BY_NAME: dict[bytes, ec.EllipticCurve] = {
    oids.P_256: ec.SECP256R1(),
    oids.P_384: ec.SECP384R1(),
    oids.P_521: ec.SECP521R1(),
}
_PUBLIC_KEY = 0x81  # [1] IMPLICIT BIT STRING (RFC 5958 §2)
_EC_PUBLIC_KEY = 0xA1  # [1] EXPLICIT (RFC 5915 §3)

LONGEST_SHORT_KEY = 400
"""Octets of an EncryptedPrivateKeyInfo: P-521 with its scheme fits, RSA of 1,024 bits does not."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKeyInfo:
    """PrivateKeyInfo, or OneAsymmetricKey (RFC 5958 §2), without its attributes: the kind and the key.

    parameters: of the kind, for EC the name of the curve. public_key: a BIT STRING that version 2 may have.
    """

    kind: bytes
    key: bytes
    encoding: bytes
    parameters: Element | None
    public_key: Element | None


def read_private_key_info(encoding: bytes) -> PrivateKeyInfo:
    """Read the shape of a private key; what it holds is not looked at."""
    _version, algorithm, key, *rest = read(encoding, Allowance()).sequence(3, 5)
    kind = read_algorithm(algorithm)
    public_key = next((part for part in rest if part.tag == _PUBLIC_KEY), None)
    return PrivateKeyInfo(kind.oid, key.octets(), encoding, kind.parameters, public_key)


def load_private_key(info: PrivateKeyInfo, limits: Limits) -> PrivateKey:
    """Load a key of a kind and size that is taken, and sound as far as the key alone shows it.

    RSA is checked here and loaded without the library's slow check; for the others the library's is quick: it
    holds an EC key's public point against its private number. What the library refuses for its form (version
    2, an EC private number of another length) is read here, and checked in the same way.
    """
    if info.kind in _RSA_KINDS:
        return check_rsa(read_rsa(read(info.key, Allowance())), limits).load()
    if info.kind not in _OTHER_KINDS:
        raise UnsupportedAlgorithm("The private key is neither RSA, EC P-256/384/521 nor Ed25519.")
    try:
        key = load_der_private_key(info.encoding, None)
    except NotInTheLibrary:
        raise UnsupportedAlgorithm("The private key is on a curve that is not read.") from None
    except ValueError:
        return _load_ed25519(info) if info.kind == oids.ED25519_KEY else _load_ec(info)
    if _is_on_a_curve(key):
        return key
    raise UnsupportedAlgorithm("The private key is on another curve than P-256, P-384 or P-521.")


def _load_ec(info: PrivateKeyInfo) -> ec.EllipticCurvePrivateKey:
    """Read an ECPrivateKey (RFC 5915 §3), whose private number may have any count of leading zeros.

    RFC 5915 demands as many octets as the order of the curve has. Some writers leave zeros out, others add
    one as in an INTEGER.
    """
    _version, number, *rest = read(info.key, Allowance()).sequence(2, 4)
    parts = {part.tag: part for part in rest}
    curve = _find_curve(info.parameters or _inside(parts.get(CONTEXT_0_CONSTRUCTED)))
    publics = [_inside(parts.get(_EC_PUBLIC_KEY)), info.public_key]
    try:
        key = ec.derive_private_key(int.from_bytes(number.octets()), curve)
        points = [
            ec.EllipticCurvePublicKey.from_encoded_point(curve, _read_bits(public))
            for public in publics
            if public is not None
        ]
    except ValueError:
        raise _unreadable() from None
    if any(point != key.public_key() for point in points):
        raise MalformedPkcs12("The public point in the EC key does not belong to its private number.")
    return key


def _load_ed25519(info: PrivateKeyInfo) -> ed25519.Ed25519PrivateKey:
    """Read a CurvePrivateKey (RFC 8410 §7)."""
    try:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(read(info.key, Allowance()).octets())
    except ValueError:
        raise _unreadable() from None
    if info.public_key is not None and _read_bits(info.public_key) != key.public_key().public_bytes_raw():
        raise MalformedPkcs12("The public key beside the Ed25519 key does not belong to it.")
    return key


def _find_curve(name: Element | None) -> ec.EllipticCurve:
    if name is None or name.tag != OBJECT_IDENTIFIER:
        raise _unreadable()
    curve = _CURVES_BY_NAME.get(name.content)
    if curve is None:
        raise UnsupportedAlgorithm("The private key is on another curve than P-256, P-384 or P-521.")
    return curve


def _inside(explicit: Element | None) -> Element | None:
    """Return the one element inside an explicit tag."""
    return None if explicit is None else explicit.children()[0]


def _read_bits(bits: Element) -> bytes:
    """Return the octets of a BIT STRING, whose first octet tells how many bits are unused (X.690 §8.6)."""
    if bits.content[:1] != b"\0":
        raise _unreadable()
    return bits.content[1:]


def _unreadable() -> MalformedPkcs12:
    return MalformedPkcs12("The private key in the file cannot be read.")


def load_short_key(key_info: bytes, password: bytes) -> PrivateKey | None:
    """Decrypt and load an EC or Ed25519 key in one step: by the library, which is faster at that.

    key_info: EncryptedPrivateKeyInfo (RFC 5958 §3) of at most `LONGEST_SHORT_KEY`; the cost is spent by the
    caller. None where the library says no or it is another key: then it is decoded here, for the cause.
    """
    try:
        key = load_der_private_key(key_info, password)
    except (NotInTheLibrary, TypeError, ValueError):
        return None
    return key if _is_on_a_curve(key) else None


def _is_on_a_curve(key: PrivateKeyTypes) -> TypeGuard[ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey]:
    """Return whether a key is EC or Ed25519, on a curve that is taken."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, _CURVES)
    return isinstance(key, ed25519.Ed25519PrivateKey)
