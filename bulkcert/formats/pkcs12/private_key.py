"""Loading a private key: which kinds are taken, and what is checked before they are used (RFC 5958)."""

from dataclasses import dataclass
from typing import TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm as NotInTheLibrary
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bulkcert.errors import MalformedPkcs12, UnsupportedAlgorithm
from bulkcert.formats.pkcs12 import oids
from bulkcert.formats.pkcs12.rsa import check_rsa, read_rsa
from bulkcert.formats.pkcs12.schemes import read_algorithm
from bulkcert.formats.pkcs12.structure import Allowance, read
from bulkcert.limits import Limits

_RSA_KINDS = frozenset({oids.RSA_KEY, oids.RSA_PSS_KEY})
_OTHER_KINDS = frozenset({oids.EC_KEY, oids.ED25519_KEY})
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

LONGEST_SHORT_KEY = 400
"""Octets of an EncryptedPrivateKeyInfo: P-521 with its scheme fits, RSA of 1,024 bits does not."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKeyInfo:
    """PrivateKeyInfo, or OneAsymmetricKey (RFC 5958 §2), without its attributes: the kind and the key."""

    kind: bytes
    key: bytes
    encoding: bytes


def read_private_key_info(encoding: bytes) -> PrivateKeyInfo:
    """Read the shape of a private key; what it holds is not looked at."""
    _version, algorithm, key, *_attributes = read(encoding, Allowance()).sequence(3, 5)
    return PrivateKeyInfo(read_algorithm(algorithm).oid, key.octets(), encoding)


def load_private_key(info: PrivateKeyInfo, limits: Limits) -> PrivateKey:
    """Load a key of a kind and size that is taken, and sound as far as the key alone shows it.

    RSA is checked here and loaded without the library's slow check; for the others the library's is quick: it
    holds an EC key's public point against its private number.
    """
    if info.kind in _RSA_KINDS:
        numbers = read_rsa(read(info.key, Allowance()))
        check_rsa(numbers, limits)
        return numbers.load()
    if info.kind not in _OTHER_KINDS:
        raise UnsupportedAlgorithm("The private key is neither RSA, EC P-256/384/521 nor Ed25519.")
    try:
        key = load_der_private_key(info.encoding, None)
    except NotInTheLibrary:
        raise UnsupportedAlgorithm("The private key is on a curve that is not read.") from None
    except ValueError:
        raise MalformedPkcs12("The private key in the file cannot be read.") from None
    if _is_on_a_curve(key):
        return key
    raise UnsupportedAlgorithm("The private key is on another curve than P-256, P-384 or P-521.")


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
    """Tell whether a key is EC or Ed25519, on a curve that is taken."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, _CURVES)
    return isinstance(key, ed25519.Ed25519PrivateKey)
