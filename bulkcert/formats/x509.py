"""X.509: what a certificate says of itself, and how the certificates of one file hang together (RFC 5280).

Reading is the library's (`cryptography.x509`). It reads lazily, so every look at a certificate may still
find it malformed: all looks go through `_strictly`, which turns what the library raises into one refusal.

Tolerated: extensions that cannot be read. The certificate is kept with no alternative names, and is not
held to allow client authentication, since nothing shows that it does.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from bulkcert.certificates import Certificate, CertificateFacts, KeyType, Name
from bulkcert.errors import MalformedCertificate

T = TypeVar("T")
E = TypeVar("E", bound=x509.ExtensionType)
Extensions = Mapping[type[x509.ExtensionType], x509.ExtensionType]

_SIGNATURE_NAMES = {
    oid: name for name, oid in vars(SignatureAlgorithmOID).items() if isinstance(oid, x509.ObjectIdentifier)
}
_WRITTEN_OUT = {NameOID.EMAIL_ADDRESS: "emailAddress", NameOID.SERIAL_NUMBER: "serialNumber"}
_ATTRIBUTES = {
    NameOID.COMMON_NAME: "common_name",
    NameOID.EMAIL_ADDRESS: "email_address",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "organizational_unit",
    NameOID.ORGANIZATION_NAME: "organization",
    NameOID.LOCALITY_NAME: "locality",
    NameOID.STATE_OR_PROVINCE_NAME: "state",
    NameOID.COUNTRY_NAME: "country",
}
_CLIENT_USAGES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_TEXT_TAGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}  # UTF8String, PrintableString, IA5String (X.680)
_CACHED_CERTIFICATES = 64  # a fleet shares its chain: the same few certificates stand in every file


@dataclass(frozen=True, slots=True)
class _Reading:
    """All that is taken from one certificate. issuer_key, own_key: key identifiers, None where not told.

    public_key: None where the library does not know its kind.
    """

    certificate: Certificate
    public_key: PublicKey | None
    allows_client_auth: bool
    issuer_key: bytes | None
    own_key: bytes | None


def parse_certificate(der: bytes) -> Certificate:
    """Read one certificate (DER, RFC 5280 §4.1) and everything that is known of it.

    Raises `MalformedCertificate` where the encoding, a name, a date or the public key cannot be read.
    """
    return _read(der).certificate


def allows_client_auth(certificate: Certificate) -> bool:
    """Tell whether a client may authenticate with it: RFC 5280 §4.2.1.12.

    True where the extended key usage is absent, or holds clientAuth or anyExtendedKeyUsage. False where it
    names other usages only, or cannot be read.
    """
    return _read(certificate.der).allows_client_auth


def is_issued_for(certificate: Certificate, public_key: PublicKey) -> bool:
    """Tell whether a certificate's key is this one: the numbers count, not how they are written."""
    return _read(certificate.der).public_key == public_key


def order_chain(leaf: Certificate, others: Sequence[Certificate]) -> tuple[tuple[Certificate, ...], bool]:
    """Order what came with a leaf: its issuer first, towards the root; certificates of no use are left out.

    Returns the chain, and whether it is complete: the last of it (or the leaf itself) is self-signed. The
    place in the file means nothing. This is order, not trust: whoever relies on the chain validates it.
    """
    chain: list[Certificate] = []
    last, rest = leaf, [other for other in others if other.der != leaf.der]
    while not _is_issued_by(last, last):
        issuer = next((other for other in rest if _is_issued_by(last, other)), None)
        if issuer is None:
            return tuple(chain), False
        chain.append(issuer)
        rest = [other for other in rest if other.der != issuer.der]
        last = issuer
    return tuple(chain), True


def _is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Tell by name and by key identifier (RFC 5280 §4.2.1.1), or by signature where one is missing."""
    if certificate.facts.issuer.text != issuer.facts.subject.text:
        return False
    wanted, given = _read(certificate.der).issuer_key, _read(issuer.der).own_key
    if wanted is not None and given is not None:
        return wanted == given
    return _is_signed_by(certificate.der, issuer.der)


@lru_cache(maxsize=_CACHED_CERTIFICATES)
def _is_signed_by(der: bytes, issuer_der: bytes) -> bool:
    return _strictly(_verify, der, issuer_der)


def _verify(der: bytes, issuer_der: bytes) -> bool:
    certificate = x509.load_der_x509_certificate(der)
    issuer = x509.load_der_x509_certificate(issuer_der)
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def forget() -> None:
    """Forget the certificates that were read last, as a measurement needs it."""
    _read.cache_clear()
    _is_signed_by.cache_clear()


def fingerprint_of_key(public_key_info: bytes) -> str:
    """Give the SHA-256 (64 hex digits) of a SubjectPublicKeyInfo (DER, RFC 5280 §4.1.2.7)."""
    return hashlib.sha256(public_key_info).hexdigest()


def _strictly(look: Callable[..., T], *ders: bytes) -> T:
    """Turn what the library raises on a hostile certificate into a refusal, and keep its warnings quiet."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return look(*ders)
        except (
            ValueError, TypeError, KeyError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion,
            x509.DuplicateExtension,
        ):  # fmt: skip
            detail = "A certificate in the file is not in the standard form (RFC 5280) and cannot be read."
            raise MalformedCertificate(detail) from None


@lru_cache(maxsize=_CACHED_CERTIFICATES)
def _read(der: bytes) -> _Reading:
    return _strictly(_look, der)


def _look(der: bytes) -> _Reading:
    certificate = x509.load_der_x509_certificate(der)
    extensions = _extensions(certificate)
    public_key = _public_key(certificate)
    facts = _facts(der, certificate, public_key, extensions or {})
    authority = _extension(extensions, x509.AuthorityKeyIdentifier)
    subject = _extension(extensions, x509.SubjectKeyIdentifier)
    return _Reading(
        Certificate(der, facts),
        public_key,
        extensions is not None and _names_client_auth(_extension(extensions, x509.ExtendedKeyUsage)),
        authority.key_identifier if authority else None,
        subject.digest if subject else None,
    )


def _facts(
    der: bytes, certificate: x509.Certificate, public_key: PublicKey | None, extensions: Extensions
) -> CertificateFacts:
    key_type, key_size = _kind_and_size(public_key)
    algorithm = certificate.signature_algorithm_oid
    alternative_names = _extension(extensions, x509.SubjectAlternativeName)
    return CertificateFacts(
        fingerprint_sha256=hashlib.sha256(der).hexdigest(),
        public_key_sha256=fingerprint_of_key(_public_key_info(certificate, public_key)),
        serial_number=str(certificate.serial_number),
        subject=_name(certificate.subject),
        issuer=_name(certificate.issuer),
        subject_alternative_names=_plain_text(alternative_names or ()),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_type=key_type,
        key_size=key_size,
        signature_algorithm=_SIGNATURE_NAMES.get(algorithm) or algorithm.dotted_string,
    )


def _names_client_auth(usages: x509.ExtendedKeyUsage | None) -> bool:
    return usages is None or any(usage in _CLIENT_USAGES for usage in usages)


def _public_key(certificate: x509.Certificate) -> PublicKey | None:
    try:
        return certificate.public_key()
    except UnsupportedAlgorithm:
        return None


def _public_key_info(certificate: x509.Certificate, public_key: PublicKey | None) -> bytes:
    """Give the SubjectPublicKeyInfo (DER) of the certificate's key.

    The library writes it anew, so that one key has one form. A key that it does not know is a CA's new one:
    the certificate's own content stands in for it.
    """
    if public_key is None:
        return certificate.tbs_certificate_bytes
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _kind_and_size(public_key: PublicKey | None) -> tuple[KeyType, int]:
    """Give the kind and the bits of a key."""
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


def _name(name: x509.Name) -> Name:
    """Give a name's text and its well-known attributes: of several, the last is the most specific one."""
    found: dict[str, str] = {}
    for attribute in name:
        if field := _ATTRIBUTES.get(attribute.oid):
            found[field] = str(attribute.value)
    return Name(name.rfc4514_string(_WRITTEN_OUT), **found)


def _extensions(certificate: x509.Certificate) -> Extensions | None:
    """Read all extensions; None where one of them is odd, since the library reads all or none."""
    try:
        return {type(extension.value): extension.value for extension in certificate.extensions}
    except (ValueError, TypeError, KeyError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None


def _extension(extensions: Extensions | None, kind: type[E]) -> E | None:
    return cast("E | None", extensions.get(kind)) if extensions else None  # they stand under their own kind


def _plain_text(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    """Give general names as plain text (RFC 5280 §4.2.1.6); kinds without text are left out."""
    return tuple(text for name in names if (text := _general_name(name)))


def _general_name(name: x509.GeneralName) -> str | None:
    match name:
        case x509.DirectoryName():
            return name.value.rfc4514_string(_WRITTEN_OUT)
        case x509.RegisteredID():
            return name.value.dotted_string
        case x509.OtherName():
            return _other_name(name.value)
        case _:
            return str(name.value)


def _other_name(der: bytes) -> str | None:
    """Read the text of an otherName: a Windows CA writes the user principal name there, as UTF8String."""
    encoding = _TEXT_TAGS.get(der[0]) if len(der) > 2 else None
    if encoding is None or der[1] != len(der) - 2 or der[1] > 0x7F:
        return None
    try:
        return der[2:].decode(encoding)
    except UnicodeDecodeError:
        return None
