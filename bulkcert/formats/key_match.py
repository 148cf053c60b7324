"""Whether a private key belongs to a certificate, by arithmetic on their numbers.

A worker checks with this what its opening process answers: that process may have been taken over by a file.
No library parses the answer; the elements on the way to the key are read one by one, with bounds.
"""

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bulkcert.errors import MalformedPkcs12
from bulkcert.formats.asn1.ber import CONTEXT_0_CONSTRUCTED, INTEGER, SEQUENCE, Allowance, Element, read
from bulkcert.formats.pkcs12 import oids

LONGEST_CERTIFICATE = 64 * 1024
LONGEST_KEY = 8 * 1024
"""Octets of PKCS#8: RSA of 8,192 bits takes 4,700."""

_MOST_ELEMENTS = 500
_BIT_STRING = 0x03
_BEFORE_THE_KEY = 5  # serial number, signature, issuer, validity, subject (RFC 5280 §4.1)
_COMPRESSED = (b"\x02", b"\x03")

_CURVES: dict[bytes, ec.EllipticCurve] = {
    oids.oid("1.2.840.10045.3.1.7"): ec.SECP256R1(),
    oids.oid("1.3.132.0.34"): ec.SECP384R1(),
    oids.oid("1.3.132.0.35"): ec.SECP521R1(),
}


def match_key(certificate: bytes, private_key: bytes) -> str | None:
    """Return the SHA-256 (64 hex digits) of the public key that both hold, or None where they differ.

    certificate: DER or BER. private_key: PKCS#8 (RFC 5958), unencrypted. The digest is that of the
    SubjectPublicKeyInfo in its one DER form (RSA without parameters, points uncompressed). RSA keys must have
    p times q as their modulus; an EC or Ed25519 private number must make the certificate's point.
    """
    if len(certificate) > LONGEST_CERTIFICATE or len(private_key) > LONGEST_KEY:
        return None
    try:
        held = _public_key(certificate)
        _version, algorithm, key, *_ = read(private_key, Allowance(_MOST_ELEMENTS)).sequence(3, 5)
        kind, *parameters = algorithm.sequence(1, 2)
        info = _INFOS[kind.oid()](key.octets(), parameters, held)
    except (MalformedPkcs12, KeyError, IndexError, ValueError):
        return None
    return None if info is None else hashlib.sha256(info).hexdigest()


def _public_key(certificate: bytes) -> bytes:
    """Return the subjectPublicKey of a certificate: the octets of its BIT STRING (RFC 5280 §4.1)."""
    signed = read(certificate, Allowance(_MOST_ELEMENTS)).sequence(3, 3)[0]
    fields = signed.sequence(6, 10)
    info = fields[_BEFORE_THE_KEY + (fields[0].tag == CONTEXT_0_CONSTRUCTED)]
    return _bits(info.sequence(2, 2)[1])


def _bits(element: Element) -> bytes:
    content = element.expect(_BIT_STRING).content
    if content[:1] != b"\0":
        msg = "a key of a broken octet"
        raise ValueError(msg)
    return content[1:]


def _match_rsa(key: bytes, _parameters: list[Element], held: bytes) -> bytes | None:
    _version, modulus, exponent, _private, p, q, *_ = (
        part.integer() for part in read(key, Allowance(_MOST_ELEMENTS)).sequence(9, 9)
    )
    held_modulus, held_exponent = (
        part.integer() for part in read(held, Allowance(_MOST_ELEMENTS)).sequence(2, 2)
    )
    if (modulus, exponent) != (held_modulus, held_exponent) or min(p, q) < 3 or p * q != modulus:
        return None
    return _info(_RSA_ALGORITHM, _tlv(SEQUENCE, _integer(modulus) + _integer(exponent)))


def _match_ec(key: bytes, parameters: list[Element], held: bytes) -> bytes | None:
    _version, number, *_ = read(key, Allowance(_MOST_ELEMENTS)).sequence(2, 4)
    curve_name = parameters[0].oid()
    public = ec.derive_private_key(int.from_bytes(number.octets()), _CURVES[curve_name]).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    form = PublicFormat.CompressedPoint if held[:1] in _COMPRESSED else PublicFormat.UncompressedPoint
    if held != public.public_bytes(Encoding.X962, form):
        return None
    return _info(_tlv(0x06, oids.EC_KEY) + _tlv(0x06, curve_name), point)


def _match_ed25519(key: bytes, _parameters: list[Element], held: bytes) -> bytes | None:
    seed = read(key, Allowance(_MOST_ELEMENTS)).octets()
    point = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return _info(_tlv(0x06, oids.ED25519_KEY), point) if held == point else None


_INFOS: dict[bytes, Callable[[bytes, list[Element], bytes], bytes | None]] = {
    oids.RSA_KEY: _match_rsa,
    oids.EC_KEY: _match_ec,
    oids.ED25519_KEY: _match_ed25519,
}


def _tlv(tag: int, content: bytes) -> bytes:
    return Element(tag, content, Allowance()).encode()


def _integer(value: int) -> bytes:
    return _tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


_RSA_ALGORITHM = _tlv(0x06, oids.RSA_KEY) + _tlv(0x05, b"")


def _info(algorithm: bytes, public_key: bytes) -> bytes:
    """Return a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7)."""
    return _tlv(SEQUENCE, _tlv(SEQUENCE, algorithm) + _tlv(_BIT_STRING, b"\0" + public_key))
