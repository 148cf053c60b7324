"""Certificates as nobody's tool should write them: made part by part and signed, so that any part may be odd."""

from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.builders import DAY, NOW, a_ca
from tests.formats.pkcs12.forge import integer, octets, oid, seq, tlv

ECDSA_SHA256 = seq(oid("1.2.840.10045.4.3.2"))
CN, ORGANIZATION, MAIL = "2.5.4.3", "2.5.4.10", "1.2.840.113549.1.9.1"
UTF8, NUMERIC, PRINTABLE, TELETEX, IA5, UTC, GENERALIZED = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18
VISIBLE, UNIVERSAL, BMP = 0x1A, 0x1C, 0x1E
SAN, EKU, AKI, SKI = "2.5.29.17", "2.5.29.37", "2.5.29.35", "2.5.29.14"
CLIENT_AUTH = seq(oid("1.3.6.1.5.5.7.3.2"))
SERVER_AUTH = seq(oid("1.3.6.1.5.5.7.3.1"))


def name(*attributes: tuple[str, int, bytes]) -> bytes:
    """A name of one attribute in each RDN: type, tag and octets."""
    return seq(*(tlv(0x31, seq(oid(dotted), tlv(tag, content))) for dotted, tag, content in attributes))


def extension(dotted: str, value: bytes, critical: bytes = b"") -> bytes:
    return seq(oid(dotted), critical, octets(value))


def bits(content: bytes) -> bytes:
    return tlv(0x03, b"\0" + content)


def utc(moment: object = NOW) -> bytes:
    return tlv(UTC, f"{moment:%y%m%d%H%M%SZ}".encode())


SUBJECT = name((CN, UTF8, b"A12BC3D4EFGH"))
CA_NAME = name((CN, UTF8, b"Test CA (test only)"))


def certificate(
    key: ec.EllipticCurvePrivateKey,
    *extensions: bytes,
    subject: bytes = SUBJECT,
    issuer: bytes = CA_NAME,
    version: bytes = tlv(0xA0, integer(2)),
    serial: bytes = integer(5),
    not_before: bytes | None = None,
    not_after: bytes | None = None,
    info: bytes | None = None,
    signer: ec.EllipticCurvePrivateKey | None = None,
    algorithm: bytes = ECDSA_SHA256,
    rest: Sequence[bytes] = (),
) -> bytes:
    info = info or key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    validity = seq(not_before or utc(NOW - DAY), not_after or utc(NOW + 300 * DAY))
    listed = [tlv(0xA3, seq(*extensions))] if extensions else []
    tbs = seq(version, serial, algorithm, issuer, validity, subject, info, *rest, *listed)
    signature = (signer or a_ca()[1]).sign(tbs, ec.ECDSA(hashes.SHA256()))
    return seq(tbs, algorithm, bits(signature))
