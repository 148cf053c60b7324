"""The facts of one certificate: from the library, or from our own reader where the library refuses.

The library reads lazily, so every look at a certificate may still find it malformed: all looks stand in
`_take`, and what they raise leads to our own reader. A file that the library reads costs no more for it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import PublicKeyAlgorithmOID, SignatureAlgorithmOID

from bulkcert.errors import MalformedCertificate, MalformedPkcs12
from bulkcert.formats.asn1.ber import SEQUENCE, Allowance, Element
from bulkcert.formats.x509.extensions import (
    NOTHING_READ,
    AlternativeName,
    Extensions,
    read_extensions,
    take_extensions,
)
from bulkcert.formats.x509.names import FULL_NAMES, MEMBERS, read_name
from bulkcert.formats.x509.reader import (
    Unreadable,
    naming,
    read_bit_string,
    read_fields,
    read_oid,
    read_serial_number,
)
from bulkcert.formats.x509.times import read_time
from bulkcert.values.certificates import Certificate, CertificateFacts, KeyType, Name

SIGNATURE_NAMES = {
    oid.dotted_string: name
    for name, oid in vars(SignatureAlgorithmOID).items()
    if isinstance(oid, x509.ObjectIdentifier)
}
_MEMBERS = {x509.ObjectIdentifier(dotted): member for dotted, member in MEMBERS.items()}
_PSS_KEY = PublicKeyAlgorithmOID.RSASSA_PSS.dotted_string
_RSA_KEYS = frozenset({PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5.dotted_string, _PSS_KEY})
_CACHED_CERTIFICATES = 64  # a fleet shares its chain: the same few certificates stand in every file

_REFUSALS = (
    ValueError, TypeError, KeyError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion,
    x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""The exceptions by which the library refuses a certificate or a part of it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of one certificate.

    public_key: None where its kind is not known. has_pss_key: whether the key may sign with RSASSA-PSS only
    (RFC 4055 §1.2). oddities: names of fields that are not in the form of RFC 5280.
    """

    certificate: Certificate
    public_key: PublicKey | None
    has_pss_key: bool
    extensions: Extensions
    oddities: tuple[str, ...] = ()


def parse_certificate(der: bytes) -> Certificate:
    """Return the facts of a certificate (RFC 5280 §4.1), however oddly it is written.

    Raises `MalformedCertificate`, which names the field, where the structure, a name, a date or the serial
    number cannot be read at all.
    """
    return read(der).certificate


def allows_client_auth(certificate: Certificate) -> bool:
    """Return whether a client may authenticate with a certificate (RFC 5280 §4.2.1.12).

    True where the extended key usage is absent, or holds clientAuth or anyExtendedKeyUsage. False where it
    names other usages only, or cannot be read.
    """
    return read(certificate.der).extensions.allows_client_auth


def alternative_names(certificate: Certificate) -> tuple[AlternativeName, ...]:
    """Return the subject alternative names that have a text, in the certificate's order."""
    return read(certificate.der).extensions.alternative_names


def public_key_of(certificate: Certificate) -> PublicKey | None:
    """Return the certificate's key; None where its kind is not known."""
    return read(certificate.der).public_key


def is_anchor(certificate: Certificate) -> bool:
    """Return whether something may be trusted through a certificate: it is self-issued or a CA's."""
    facts = certificate.facts
    return facts.subject == facts.issuer or read(certificate.der).extensions.is_ca


def has_pss_key(certificate: Certificate) -> bool:
    """Return whether the certificate's key is of the type id-RSASSA-PSS (RFC 4055 §1.2)."""
    return read(certificate.der).has_pss_key


def list_oddities(certificate: Certificate) -> tuple[str, ...]:
    """Return the names of fields that are not in the form of RFC 5280; none where the library read all."""
    return read(certificate.der).oddities


def is_issued_for(certificate: Certificate, public_key: PublicKey) -> bool:
    """Return whether a certificate is for this key: its numbers count, not their encoding."""
    return public_key_of(certificate) == public_key


def contains_key(der: bytes, public_key: PublicKey) -> bool:
    """Return whether the octets of a key stand anywhere in a certificate that cannot be read."""
    info = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    [whole] = Element(SEQUENCE, info, Allowance()).children()
    return read_bit_string(whole.sequence(2, 2)[1], "subjectPublicKey") in der


def fingerprint_of_key(public_key_info: bytes) -> str:
    """Return the SHA-256 (64 hex digits) of a SubjectPublicKeyInfo (DER, RFC 5280 §4.1.2.7)."""
    return hashlib.sha256(public_key_info).hexdigest()


def forget() -> None:
    """Empty the cache."""
    read.cache_clear()


@lru_cache(maxsize=_CACHED_CERTIFICATES)
def read(der: bytes) -> Reading:
    """Return the content of a certificate, or raise `MalformedCertificate`."""
    try:
        return _take(der)
    except _REFUSALS:
        return read_by_ourselves(der)


def _take(der: bytes) -> Reading:
    """Return the content as the library reads it; extensions are read here where it refuses one."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        public_key = certificate.public_key()
    except UnsupportedAlgorithm:
        public_key = None
    oddities: tuple[str, ...] = ()
    extensions = take_extensions(certificate)
    if extensions is None:
        extensions, oddities = _read_odd_extensions(der)
    facts = _facts(
        der, public_key, certificate.tbs_certificate_bytes, extensions, certificate.serial_number,
        _name(certificate.subject), _name(certificate.issuer),
        (certificate.not_valid_before_utc, certificate.not_valid_after_utc),
        certificate.signature_algorithm_oid.dotted_string,
    )  # fmt: skip
    is_pss = (
        isinstance(public_key, rsa.RSAPublicKey)
        and certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
    )
    return Reading(Certificate(der, facts), public_key, is_pss, extensions, oddities)


def _name(name: x509.Name) -> Name:
    """Return a name's text and its well-known attributes: of several, the last is the most specific one."""
    found: dict[str, str] = {}
    for attribute in name:
        if member := _MEMBERS.get(attribute.oid):
            found[member] = str(attribute.value)
    return Name(name.rfc4514_string(FULL_NAMES), **found)


def _read_odd_extensions(der: bytes) -> tuple[Extensions, tuple[str, ...]]:
    try:
        fields = read_fields(der)
        extensions = read_extensions(fields.extensions, is_whole=not fields.unread)
    except Unreadable:
        extensions = NOTHING_READ
    return extensions, extensions.odd or NOTHING_READ.odd


def read_by_ourselves(der: bytes) -> Reading:
    """Return the content of a certificate as our own reader reads it, or raise `MalformedCertificate`."""
    try:
        return _read(der)
    except Unreadable as fault:
        detail = (
            f"The certificate with the {_label(der)} is not in the standard form (RFC 5280) and cannot be "
            f"read: its {fault.field} {fault.why}."
        )
        raise MalformedCertificate(detail) from None


def _label(der: bytes) -> str:
    """Return words by which people find a certificate that cannot be read."""
    try:
        return f"serial number {read_serial_number(der)}"
    except Unreadable:
        return f"SHA-256 fingerprint {hashlib.sha256(der).hexdigest()}"


def _read(der: bytes) -> Reading:
    fields = read_fields(der)
    subject, subject_is_right = read_name(fields.subject, "subject")
    issuer, issuer_is_right = read_name(fields.issuer, "issuer")
    not_before, begin_is_right = read_time(fields.not_before, "notBefore")
    not_after, end_is_right = read_time(fields.not_after, "notAfter")
    public_key, kind = _read_public_key(fields.public_key_info)
    extensions = read_extensions(fields.extensions, is_whole=not fields.unread)
    facts = _facts(
        der, public_key, fields.signed, extensions, fields.serial_number, subject, issuer,
        (not_before, not_after), fields.algorithm,
    )  # fmt: skip
    judged = {
        "subject": subject_is_right,
        "issuer": issuer_is_right,
        "notBefore": begin_is_right,
        "notAfter": end_is_right,
    }
    oddities = (*(name for name, is_right in judged.items() if not is_right), *extensions.odd)
    return Reading(
        Certificate(der, facts), public_key, kind == _PSS_KEY, extensions, oddities or ("encoding",)
    )


def _read_public_key(info: Element) -> tuple[PublicKey | None, str]:
    """Return the key and the dotted identifier of its type; an RSA key also under odd parameters."""
    with naming("subjectPublicKeyInfo"):
        algorithm, content = info.sequence(2, 2)
        kind = read_oid(algorithm.sequence(1, 2)[0])
    encodings = [info.encode()]
    if kind in _RSA_KEYS:
        encodings.append(
            read_bit_string(content, "subjectPublicKey")
        )  # RSAPublicKey (RFC 8017 §A.1.1), which the library reads
    for encoding in encodings:
        try:
            return load_der_public_key(encoding), kind  # type: ignore[return-value]  # equal types compare
        except (*_REFUSALS, MalformedPkcs12):
            continue
    return None, kind


def _facts(
    der: bytes,
    public_key: PublicKey | None,
    signed: bytes,
    extensions: Extensions,
    serial_number: int,
    subject: Name,
    issuer: Name,
    validity: tuple[datetime, datetime],
    algorithm: str,
) -> CertificateFacts:
    key_type, key_size = _kind_and_size(public_key)
    return CertificateFacts(
        fingerprint_sha256=hashlib.sha256(der).hexdigest(),
        public_key_sha256=fingerprint_of_key(_public_key_info(signed, public_key)),
        serial_number=str(serial_number),
        subject=subject,
        issuer=issuer,
        subject_alternative_names=tuple(name.text for name in extensions.alternative_names),
        not_before=validity[0],
        not_after=validity[1],
        key_type=key_type,
        key_size=key_size,
        signature_algorithm=SIGNATURE_NAMES.get(algorithm, algorithm),
    )


def _public_key_info(signed: bytes, public_key: PublicKey | None) -> bytes:
    """Return the SubjectPublicKeyInfo (DER) of the certificate's key.

    The library writes it anew, so that one key has one form. The signed part of the certificate stands in for
    a key of an unknown kind.
    """
    if public_key is None:
        return signed
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _kind_and_size(public_key: PublicKey | None) -> tuple[KeyType, int]:
    """Return the kind and the bits of a key."""
    match public_key:
        case rsa.RSAPublicKey():
            return KeyType.RSA, public_key.key_size
        case ec.EllipticCurvePublicKey():
            return KeyType.EC, public_key.key_size
        case ed25519.Ed25519PublicKey():
            return KeyType.ED25519, 256
        case ed448.Ed448PublicKey():
            return KeyType.ED448, 456
        case _:
            return KeyType.OTHER, int(getattr(public_key, "key_size", 0))
