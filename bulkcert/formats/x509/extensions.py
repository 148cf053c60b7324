"""The extensions that matter here, each read by itself: one that cannot be read loses only itself."""

import enum
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from bulkcert.errors import MalformedPkcs12
from bulkcert.formats.asn1.ber import (
    CONTEXT_0,
    CONTEXT_0_CONSTRUCTED,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    Allowance,
    Element,
)
from bulkcert.formats.x509.names import FULL_NAMES, decode, read_name
from bulkcert.formats.x509.reader import Unreadable, decode_oid, read_oid

T = TypeVar("T")
E = TypeVar("E", bound=x509.ExtensionType)

_CLIENT_USAGES = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_CLIENT_USAGES_DOTTED = frozenset(usage.dotted_string for usage in _CLIENT_USAGES)
_BOOLEAN = 0x01
_TEXT_TAGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}  # UTF8String, PrintableString, IA5String (X.680)
_NAME_OF = {
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: "subjectAltName",
    ExtensionOID.EXTENDED_KEY_USAGE: "extKeyUsage",
    ExtensionOID.BASIC_CONSTRAINTS: "basicConstraints",
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
}


class NameKind(enum.StrEnum):
    """The kinds of alternative name that have a text (RFC 5280 §4.2.1.6)."""

    DNS = "dNSName"
    EMAIL = "rfc822Name"
    URI = "uniformResourceIdentifier"
    ADDRESS = "iPAddress"
    DIRECTORY = "directoryName"
    REGISTERED = "registeredID"
    OTHER = "otherName"


_TEXT_KINDS = {0x81: NameKind.EMAIL, 0x82: NameKind.DNS, 0x86: NameKind.URI}


@dataclass(frozen=True, slots=True)
class AlternativeName:
    """One alternative name as plain text."""

    kind: NameKind
    text: str


@dataclass(frozen=True, slots=True)
class Extensions:
    """The content of the extensions that matter here.

    is_ca: whether basicConstraints says so (RFC 5280 §4.2.1.9). issuer_key, own_key: key identifiers
    (§4.2.1.1 and §4.2.1.2), None where absent. odd: names of extensions that could not be read in full.
    """

    alternative_names: tuple[AlternativeName, ...] = ()
    allows_client_auth: bool = True
    is_ca: bool = False
    issuer_key: bytes | None = None
    own_key: bytes | None = None
    odd: tuple[str, ...] = ()


NOTHING_READ = Extensions(allows_client_auth=False, odd=("extensions",))
"""For extensions that cannot be told apart: nothing shows that client authentication is allowed."""


def take_extensions(certificate: x509.Certificate) -> Extensions | None:
    """Return the extensions as the library reads them; None where one is odd, since it reads all or none."""
    try:
        found = {type(extension.value): extension.value for extension in certificate.extensions}
    except (ValueError, TypeError, KeyError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None

    def get(kind: type[E]) -> E | None:
        return cast("E | None", found.get(kind))  # they stand under their own kind

    authority, subject = get(x509.AuthorityKeyIdentifier), get(x509.SubjectKeyIdentifier)
    usages, constraints = get(x509.ExtendedKeyUsage), get(x509.BasicConstraints)
    names = get(x509.SubjectAlternativeName)
    return Extensions(
        alternative_names=tuple(_take_names(names)) if names else (),
        allows_client_auth=usages is None or any(one in _CLIENT_USAGES for one in usages),
        is_ca=constraints is not None and constraints.ca,
        issuer_key=authority.key_identifier if authority else None,
        own_key=subject.digest if subject else None,
    )


def _take_names(names: Iterable[x509.GeneralName]) -> Iterator[AlternativeName]:
    for name in names:
        match name:
            case x509.DNSName():
                yield AlternativeName(NameKind.DNS, name.value)
            case x509.RFC822Name():
                yield AlternativeName(NameKind.EMAIL, name.value)
            case x509.UniformResourceIdentifier():
                yield AlternativeName(NameKind.URI, name.value)
            case x509.IPAddress():
                yield AlternativeName(NameKind.ADDRESS, str(name.value))
            case x509.DirectoryName():
                yield AlternativeName(NameKind.DIRECTORY, name.value.rfc4514_string(FULL_NAMES))
            case x509.RegisteredID():
                yield AlternativeName(NameKind.REGISTERED, name.value.dotted_string)
            case x509.OtherName():
                if (text := _text_of_other_name(name.value)) is not None:
                    yield AlternativeName(NameKind.OTHER, text)


def read_extensions(extensions: Sequence[tuple[str, bytes]], *, is_whole: bool = True) -> Extensions:
    """Read extensions (dotted identifier and value of each) one by one.

    All copies of an extension that stands there twice count; RFC 5280 §4.2 forbids it. is_whole: False where
    an extension has no readable form and is missing here; it may have been the extended key usage.
    """
    values = _Values(extensions)
    if not is_whole:
        values.odd["extensions"] = None
    names = values.read(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, _read_names)
    if not all(has_all for _, has_all in names):
        values.odd[_NAME_OF[ExtensionOID.SUBJECT_ALTERNATIVE_NAME]] = None
    usages = values.read(ExtensionOID.EXTENDED_KEY_USAGE, _read_usages)
    issuer_keys = values.read(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, _read_authority_key_identifier)
    own_keys = values.read(ExtensionOID.SUBJECT_KEY_IDENTIFIER, lambda value: _element(value).octets())
    return Extensions(
        alternative_names=tuple(dict.fromkeys(name for some, _ in names for name in some)),
        allows_client_auth=(
            (is_whole and ExtensionOID.EXTENDED_KEY_USAGE.dotted_string not in values.present)
            or any(usage in _CLIENT_USAGES_DOTTED for some in usages for usage in some)
        ),
        is_ca=any(values.read(ExtensionOID.BASIC_CONSTRAINTS, _read_is_ca)),
        issuer_key=next((key for key in issuer_keys if key is not None), None),
        own_key=own_keys[0] if own_keys else None,
        odd=tuple(values.odd),
    )


class _Values:
    """The values of extensions by kind. odd: names of those that stand there twice or cannot be read."""

    def __init__(self, extensions: Sequence[tuple[str, bytes]]) -> None:
        self.present: dict[str, list[bytes]] = {}
        self.odd: dict[str, None] = {}
        for dotted, value in extensions:
            self.present.setdefault(dotted, []).append(value)
        if any(len(values) > 1 for values in self.present.values()):
            self.odd["an extension that stands there twice"] = None

    def read(self, kind: x509.ObjectIdentifier, read: Callable[[bytes], T]) -> list[T]:
        """Read each value of a kind; those that cannot be read are left out."""
        found: list[T] = []
        for value in self.present.get(kind.dotted_string, ()):
            try:
                found.append(read(value))
            except (MalformedPkcs12, Unreadable, ValueError):
                self.odd[_NAME_OF[kind]] = None
        return found


def _element(value: bytes) -> Element:
    """Return the one element in the value of an extension."""
    elements = Element(SEQUENCE, value, Allowance()).children()
    if len(elements) != 1:
        msg = "an extension does not hold exactly one element"
        raise ValueError(msg)
    return elements[0]


def _read_usages(value: bytes) -> list[str]:
    return [read_oid(usage) for usage in _element(value).expect(SEQUENCE).children()]


def _read_is_ca(value: bytes) -> bool:
    """Return cA of BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint OPTIONAL }."""
    first, *_ = (*_element(value).expect(SEQUENCE).children(), None)
    return first is not None and first.tag == _BOOLEAN and any(first.content)


def _read_authority_key_identifier(value: bytes) -> bytes | None:
    parts = _element(value).expect(SEQUENCE).children()
    return next((part.content for part in parts if part.tag == CONTEXT_0), None)


def _read_names(value: bytes) -> tuple[list[AlternativeName], bool]:
    """Return the alternative names that can be read, and whether these are all."""
    found: list[AlternativeName] = []
    is_whole = True
    for name in _element(value).expect(SEQUENCE).children():
        try:
            kind, text, is_right = _read_general_name(name)
        except (MalformedPkcs12, Unreadable, ValueError):
            is_whole = False
            continue
        is_whole = is_whole and is_right
        if text is not None:
            found.append(AlternativeName(kind, text))
    return found, is_whole


def _read_general_name(name: Element) -> tuple[NameKind, str | None, bool]:
    """Return kind and text of a GeneralName, and whether it is in the form of RFC 5280 §4.2.1.6.

    Raises `ValueError` and others where it cannot be read or is of a kind without text.
    """
    if kind := _TEXT_KINDS.get(name.tag):
        return kind, decode(name.content), name.content.isascii()
    match name.tag:
        case 0x87:
            return NameKind.ADDRESS, str(ipaddress.ip_address(name.content)), True
        case 0x88:
            return NameKind.REGISTERED, decode_oid(name.content), True
        case 0xA4:
            [inner] = name.children()
            directory, is_right = read_name(inner, NameKind.DIRECTORY)
            return NameKind.DIRECTORY, directory.text, is_right
        case 0xA0:
            kind_of_other, value = name.children()
            kind_of_other.expect(OBJECT_IDENTIFIER)
            if value.tag != CONTEXT_0_CONSTRUCTED:  # written IMPLICIT, by mistake
                return NameKind.OTHER, _text_of_other_name(value.encode()), False
            return NameKind.OTHER, _text_of_other_name(value.explicit().encode()), True
        case _:
            msg = "a general name of a kind that has no text"
            raise ValueError(msg)


def _text_of_other_name(der: bytes) -> str | None:
    """Return the text of an otherName: a Windows CA writes the user principal name there, as UTF8String."""
    encoding = _TEXT_TAGS.get(der[0]) if len(der) > 2 else None
    if encoding is None or der[1] != len(der) - 2 or der[1] > 0x7F:
        return None
    try:
        return der[2:].decode(encoding)
    except UnicodeDecodeError:
        return None
