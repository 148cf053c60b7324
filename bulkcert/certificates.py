"""What is known of a certificate, and an opened one with its key, as bytes.

Everything here is plain: DER, text, numbers. Parsing happens in `formats/`, once, at import; the facts are
then stored in clear columns, so nothing is decrypted or parsed again to list.
"""

import enum
from dataclasses import dataclass
from datetime import datetime

from bulkcert.identities import DeviceIdentity, IdentityType
from bulkcert.secret import Secret


class KeyType(enum.StrEnum):
    """The kinds of key that a device certificate may have."""

    RSA = "RSA"
    EC = "EC"
    ED25519 = "Ed25519"
    ED448 = "Ed448"
    OTHER = "other"


class CertificateState(enum.StrEnum):
    """Where a device certificate stands."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    DELETED = "deleted"


@dataclass(frozen=True)
class Name:
    """A distinguished name: RFC 4514 text, and the attributes that people look for (None where absent)."""

    text: str
    common_name: str | None = None
    email_address: str | None = None
    organizational_unit: str | None = None
    organization: str | None = None
    locality: str | None = None
    state: str | None = None
    country: str | None = None


@dataclass(frozen=True)
class CertificateFacts:
    """What one X.509 certificate says of itself.

    fingerprint_sha256: of the DER certificate, 64 lower-case hex digits. public_key_sha256: of the DER
    SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), 64 hex digits. serial_number: decimal digits (up to 20
    octets, more than a database integer holds). key_size: bits. Times are aware, in UTC.
    """

    fingerprint_sha256: str
    public_key_sha256: str
    serial_number: str
    subject: Name
    issuer: Name
    subject_alternative_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key_type: KeyType
    key_size: int
    signature_algorithm: str


@dataclass(frozen=True)
class Certificate:
    """One X.509 certificate: its DER and what it says."""

    der: bytes
    facts: CertificateFacts


class WarningCode(enum.StrEnum):
    """What is odd about an item that did not fail."""

    NO_CLIENT_AUTH = "no_client_auth"
    EXPIRES_SOON = "expires_soon"
    INCOMPLETE_CHAIN = "incomplete_chain"
    IDENTITY_NOT_IN_CERTIFICATE = "identity_not_in_certificate"
    PASSWORD_ENDS_IN_SPACE = "password_ends_in_space"  # noqa: S105 - a warning's name
    KEY_REUSED = "key_reused"
    NOT_YET_VALID = "not_yet_valid"
    LOOKS_LIKE_IMEI = "looks_like_imei"
    LOOKS_LIKE_MEID = "looks_like_meid"
    LOOKS_LIKE_BARCODE = "looks_like_barcode"
    TRAILING_BYTES = "trailing_bytes"
    SEVERAL_CERTIFICATES = "several_certificates"
    NONSTANDARD_CERTIFICATE = "nonstandard_certificate"
    CHAIN_NOT_VALID = "chain_not_valid"
    UNRELATED_CERTIFICATE = "unrelated_certificate"
    UNREADABLE_CERTIFICATE = "unreadable_certificate"


@dataclass(frozen=True)
class OpenedCertificate:
    """What a PKCS#12 held, proven sound: a leaf, its private key, and its chain in order.

    private_key: PKCS#8 DER, unencrypted (RFC 5958). chain: issuer of the leaf first, towards the root.
    chain_is_complete: the last of it (or the leaf) is self-signed. allows_client_auth: extended key usage is
    absent or holds clientAuth or anyExtendedKeyUsage (RFC 5280 §4.2.1.12).
    opened_by: which decoder opened it, for the record ("library" or "own"). warnings: oddities found
    in the file when it was opened. remarks: sentences about them, without uploaded text.
    """

    leaf: Certificate
    chain: tuple[Certificate, ...]
    private_key: Secret
    chain_is_complete: bool
    allows_client_auth: bool
    opened_by: str = "library"
    warnings: tuple[WarningCode, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeviceCertificate:
    """A device certificate as it is kept, without anything secret."""

    id: int
    identity: DeviceIdentity
    state: CertificateState
    facts: CertificateFacts
    chain_ids: tuple[int, ...]
    import_id: str
    created_at: datetime
    superseded_at: datetime | None
    deleted_at: datetime | None


@dataclass(frozen=True)
class CertificateFilter:
    """Which device certificates a listing gives: those that answer to all of it; None asks nothing.

    identity: in normal form, or as people write it where identity_type is given. expires_before: aware.
    issuer, text: a part of the issuer's RFC 4514 text, or of the identity or the subject's text; the case of
    the letters A-Z does not count. fingerprint_sha256: 64 lower-case hex digits.
    """

    identity_type: IdentityType | None = None
    identity: str | None = None
    state: CertificateState | None = None
    expires_before: datetime | None = None
    issuer: str | None = None
    fingerprint_sha256: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class ChainCertificate:
    """A certificate of some device certificate's chain, kept once however many devices share it."""

    id: int
    facts: CertificateFacts
    created_at: datetime
