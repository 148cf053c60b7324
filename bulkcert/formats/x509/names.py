"""Distinguished names in any form: the text of RFC 4514, and the attributes that people look for.

The text of a name that the library reads is the same here, letter for letter.
"""

from collections.abc import Mapping

from cryptography import x509
from cryptography.x509.oid import NameOID

from bulkcert.formats.asn1.ber import SEQUENCE, Element
from bulkcert.formats.x509.reader import BIT_STRING, naming, read_oid
from bulkcert.values.certificates import Name

_SET = 0x31
_UTF8, _NUMERIC, _PRINTABLE, _TELETEX, _IA5, _VISIBLE = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1A
_UNIVERSAL, _BMP = 0x1C, 0x1E
_WIDE = {_UNIVERSAL: ("utf-32-be", 4), _BMP: ("utf-16-be", 2)}
_BYTEWISE = frozenset({_UTF8, _NUMERIC, _PRINTABLE, _TELETEX, _IA5, _VISIBLE})
_PRINTABLE_LETTERS = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?"  # X.680 §41.4
)
_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in '\\"+,;<>'} | {"\0": "\\00"})

FULL_NAMES: Mapping[x509.ObjectIdentifier, str] = {
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.SERIAL_NUMBER: "serialNumber",
}
"""Attribute types that are written out; RFC 4514 has no short names for them."""

MEMBERS: Mapping[str, str] = {
    NameOID.COMMON_NAME.dotted_string: "common_name",
    NameOID.EMAIL_ADDRESS.dotted_string: "email_address",
    NameOID.ORGANIZATIONAL_UNIT_NAME.dotted_string: "organizational_unit",
    NameOID.ORGANIZATION_NAME.dotted_string: "organization",
    NameOID.LOCALITY_NAME.dotted_string: "locality",
    NameOID.STATE_OR_PROVINCE_NAME.dotted_string: "state",
    NameOID.COUNTRY_NAME.dotted_string: "country",
}
"""The members of `Name`, by the dotted identifier of their attribute type."""

_SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    **{kind.dotted_string: name for kind, name in FULL_NAMES.items()},
}


def read_name(element: Element, field: str) -> tuple[Name, bool]:
    """Return a name, and whether each of its values keeps to its string type.

    Raises `Unreadable` with the name of the field where its structure is not that of a name. Of several
    attributes of a type, the last counts: it is the most specific one.
    """
    found: dict[str, str] = {}
    parts: list[str] = []
    is_strict = True
    with naming(field):
        for relative in element.expect(SEQUENCE).children():
            texts = []
            for attribute in relative.expect(_SET).children():
                kind, value = attribute.sequence(2, 2)
                dotted = read_oid(kind)
                text, escaped, is_right = _read_value(value)
                is_strict = is_strict and is_right
                if member := MEMBERS.get(dotted):
                    found[member] = text
                texts.append(f"{_SHORT_NAMES.get(dotted, dotted)}={escaped}")
            if texts:
                parts.append("+".join(texts))
    return Name(",".join(reversed(parts)), **found), is_strict


def _read_value(value: Element) -> tuple[str, str, bool]:
    """Return the text of a value, the same as it stands in RFC 4514, and whether its type allows its bytes.

    Bytes that are not UTF-8 are taken for Latin-1, which software writes that does not know better. A value
    that is no string is written as # and hexadecimal digits (RFC 4514 §2.4).
    """
    content = value.content
    if value.tag in _WIDE:
        encoding, size = _WIDE[value.tag]
        try:
            text, is_right = content.decode(encoding), True
        except UnicodeDecodeError:
            text, is_right = content[: len(content) // size * size].decode(encoding, "replace"), False
    elif value.tag in _BYTEWISE:
        text, is_right = decode(content), _is_allowed(value.tag, content)
    else:
        # The library writes the content of a BIT STRING alone.
        digits = f"#{(content if value.tag == BIT_STRING else value.encode()).hex()}"
        return digits, digits, False
    return text, _escape(text), is_right


def decode(content: bytes) -> str:
    """Return text of bytes that should be ASCII or UTF-8, and may be Latin-1."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _is_allowed(tag: int, content: bytes) -> bool:
    if tag == _PRINTABLE:
        return _PRINTABLE_LETTERS.issuperset(content)
    if tag == _UTF8:
        try:
            content.decode()
        except UnicodeDecodeError:
            return False
        return True
    return content.isascii()


def _escape(text: str) -> str:
    """Escape a value (RFC 4514 §2.4)."""
    escaped = text.translate(_ESCAPED)
    if escaped[:1] == "#" or (escaped[:1] == " " and len(escaped) > 1):
        escaped = f"\\{escaped}"
    return f"{escaped[:-1]}\\ " if escaped[-1:] == " " else escaped
