"""What is known of a certificate, and an opened one with its key, as bytes.

Everything here is plain: DER, text, numbers. Parsing happens in `formats/`, once, at import; the facts are
then stored in clear columns, so nothing is decrypted or parsed again to list.
"""

import enum
from dataclasses import dataclass, replace
from datetime import datetime

from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.secret import Secret

LONGEST_TEXT = 2048
"""Bytes (UTF-8) of a subject, an issuer or an alternative name that are shown."""

LONGEST_ATTRIBUTE = 512
"""Bytes of one attribute of a name that are shown. RFC 5280 §A.1 allows 255 characters at most."""

MOST_NAMES = 100
"""Alternative names of one certificate that are shown."""

LONGEST_NAMES = 8192
"""Bytes of all alternative names of one certificate that are shown."""

LONGEST_SERIAL_NUMBER = 4300
"""Digits. Python reads and writes no longer number; RFC 5280 §4.1.2.2 allows 49 digits (20 octets)."""

_MARK = "…"


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
    names_left_out: number of alternative names that are not in subject_alternative_names. is_cut: whether a
    text is shorter than in the certificate; it ends in "…" then (see `show_in_part`).
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
    names_left_out: int = 0
    is_cut: bool = False

    @property
    def names_total(self) -> int:
        """Return the number of alternative names in the certificate that have a text."""
        return len(self.subject_alternative_names) + self.names_left_out

    @property
    def is_in_part(self) -> bool:
        """Return whether the certificate holds more names or longer texts than are here."""
        return self.is_cut or self.names_left_out > 0


def show_in_part(facts: CertificateFacts) -> CertificateFacts:
    """Return facts whose texts take 24 KiB at most, whatever the certificate holds.

    A longer text is cut and ends in "…"; alternative names beyond the first hundred or beyond 8 KiB are left
    out. The bytes of the certificate stay whole elsewhere. Facts that are in part already stay as they are.
    """
    if _is_short(facts):
        return facts
    subject, issuer = _cut_name(facts.subject), _cut_name(facts.issuer)
    names = _cut_names(facts.subject_alternative_names)
    algorithm = _cut(facts.signature_algorithm, LONGEST_ATTRIBUTE)
    shown = subject, issuer, names, algorithm
    if shown == (facts.subject, facts.issuer, facts.subject_alternative_names, facts.signature_algorithm):
        return facts
    are_names_cut = names != facts.subject_alternative_names[: len(names)]
    return replace(
        facts,
        subject=subject,
        issuer=issuer,
        subject_alternative_names=names,
        signature_algorithm=algorithm,
        names_left_out=facts.names_total - len(names),
        is_cut=facts.is_cut
        or are_names_cut
        or (subject, issuer, algorithm) != (facts.subject, facts.issuer, facts.signature_algorithm),
    )


def _is_short(facts: CertificateFacts) -> bool:
    """Return whether nothing can be too long, as in nearly every certificate (a character has four bytes)."""
    names, most = facts.subject_alternative_names, LONGEST_ATTRIBUTE // 4
    texts = (*vars(facts.subject).values(), *vars(facts.issuer).values(), facts.signature_algorithm)
    return (
        len(names) <= MOST_NAMES
        and sum(map(len, names)) <= LONGEST_TEXT // 4
        and all(text is None or len(text) <= most for text in texts)
    )


def _cut_name(name: Name) -> Name:
    attributes = {
        member: value and _cut(value, LONGEST_ATTRIBUTE)
        for member, value in vars(name).items()
        if member != "text"
    }
    return Name(_cut(name.text, LONGEST_TEXT), **attributes)


def _cut_names(names: tuple[str, ...]) -> tuple[str, ...]:
    shown: list[str] = []
    left = LONGEST_NAMES
    for name in names[:MOST_NAMES]:
        text = _cut(name, LONGEST_TEXT)
        left -= len(text.encode(errors="replace"))
        if left < 0:
            break
        shown.append(text)
    return tuple(shown)


def _cut(text: str, most: int) -> str:
    if len(text) <= most // 4:  # a character takes four bytes at most
        return text
    encoded = text.encode(errors="replace")
    if len(encoded) <= most:
        return text
    return encoded[: most - len(_MARK.encode())].decode(errors="ignore") + _MARK


@dataclass(frozen=True)
class Certificate:
    """One X.509 certificate: its DER and what it says."""

    der: bytes
    facts: CertificateFacts


def names_device(certificate: Certificate, identity: DeviceIdentity) -> bool:
    """Return whether a certificate names a device, in its subject or an alternative name.

    Of one whose names are shown in part, the bytes are searched: ASCII letters are the same in every
    string type but BMPString, which puts a zero octet before each (X.690 §8.23).
    """
    facts = certificate.facts
    if any(identity.value in text.upper() for text in (facts.subject.text, *facts.subject_alternative_names)):
        return True
    if not facts.is_in_part:
        return False
    upper = certificate.der.upper()
    return identity.value.encode() in upper or identity.value.encode("utf-16-be") in upper


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
