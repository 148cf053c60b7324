"""Our own reader of certificates, for those that the library refuses (RFC 5280 §4.1).

It accepts BER where DER is demanded, default values that are written out, INTEGERs with leading zeros, and
names, dates and extensions in any form: those stay elements, which `names`, `times` and `extensions` read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bulkcert.errors import MalformedPkcs12
from bulkcert.formats.asn1.ber import CONTEXT_0_CONSTRUCTED, INTEGER, SEQUENCE, Allowance, Element

BIT_STRING = 0x03
_EXTENSIONS = 0xA3
_LAST_VERSION = 3
_LONGEST_SERIAL = 1024
"""Octets. RFC 5280 §4.1.2.2 demands at most 20; Python writes no more than 1,785 in decimal."""

_LONGEST_OID = 128
"""Octets. Those of real certificates have about 10; time to write one in decimal grows with the square."""


class Unreadable(Exception):  # noqa: N818 - `facts` turns it into a refusal
    """A field cannot be read. field: its name in RFC 5280. why: a clause that follows the name."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}")
        self.field = field
        self.why = why


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a certificate (RFC 5280 §4.1), those with inner forms still encoded.

    signed: the tbsCertificate, which the signature covers. extensions: dotted identifier and value of each
    extension. unread: whether an extension had no readable form and was left out.
    """

    signed: bytes
    serial_number: int
    algorithm: str
    issuer: Element
    not_before: Element
    not_after: Element
    subject: Element
    public_key_info: Element
    extensions: tuple[tuple[str, bytes], ...]
    unread: bool
    signature: bytes


def read_fields(der: bytes) -> Fields:
    """Read the fields of a certificate, or raise `Unreadable`."""
    with naming("encoding"):
        tbs, algorithm, signature = _outer_parts(der)
        serial, _, issuer, validity, subject, public_key_info, *rest = _parts(tbs)
    with naming("validity"):
        not_before, not_after = validity.sequence(2, 2)
    extensions, unread = _read_extensions(rest)
    return Fields(
        signed=tbs.encode(),
        serial_number=_read_serial_number(serial),
        algorithm=_read_algorithm(algorithm),
        issuer=issuer,
        not_before=not_before,
        not_after=not_after,
        subject=subject,
        public_key_info=public_key_info,
        extensions=extensions,
        unread=unread,
        signature=read_bit_string(signature, "signatureValue"),
    )


def read_serial_number(der: bytes) -> int:
    """Return the serial number, whether or not other fields can be read, or raise `Unreadable`."""
    with naming("encoding"):
        first, second, *_ = _outer_parts(der)[0].expect(SEQUENCE).children()
        return _read_serial_number(second if first.tag == CONTEXT_0_CONSTRUCTED else first)


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Raise `Unreadable` with the name of the field where the BER reader or a conversion fails inside."""
    try:
        yield
    except (MalformedPkcs12, ValueError, OverflowError):
        raise Unreadable(field, "is not in a form that can be read") from None


def read_bit_string(element: Element, field: str) -> bytes:
    """Return the octets of a BIT STRING without the count of unused bits (X.690 §8.6)."""
    with naming(field):
        return element.expect(BIT_STRING).content[1:]


def read_oid(element: Element) -> str:
    """Return an OBJECT IDENTIFIER in dotted form (X.690 §8.19). Raises `ValueError` or `MalformedPkcs12`."""
    return decode_oid(element.oid())


def decode_oid(content: bytes) -> str:
    """Return the dotted form of the contents octets of an OBJECT IDENTIFIER, or raise `ValueError`."""
    if len(content) > _LONGEST_OID:
        msg = "an object identifier is too long"
        raise ValueError(msg)
    numbers: list[int] = []
    number = 0
    for octet in content:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    if not numbers or content[-1] & 0x80:
        msg = "an object identifier is cut short"
        raise ValueError(msg)
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _outer_parts(der: bytes) -> list[Element]:
    """Return tbsCertificate, signatureAlgorithm and signatureValue."""
    outer = Element(SEQUENCE, der, Allowance()).children()
    if len(outer) != 1:
        raise Unreadable("encoding", "is empty, or bytes follow its end")
    return outer[0].sequence(3, 3)


def _parts(tbs: Element) -> list[Element]:
    """Return the parts of a TBSCertificate after its version."""
    parts = tbs.expect(SEQUENCE).children()
    if not parts or parts[0].tag != CONTEXT_0_CONSTRUCTED:
        return parts
    with naming("version"):
        version = parts[0].explicit().integer() + 1
    if not 1 <= version <= _LAST_VERSION:
        raise Unreadable("version", "is not 1, 2 or 3")
    return parts[1:]


def _read_serial_number(element: Element) -> int:
    if element.tag != INTEGER or not 0 < len(element.content) <= _LONGEST_SERIAL:
        raise Unreadable("serialNumber", f"is not an INTEGER of 1 to {_LONGEST_SERIAL} octets")
    return element.integer()


def _read_algorithm(element: Element) -> str:
    with naming("signatureAlgorithm"):
        return read_oid(element.sequence(1, 2)[0])


def _read_extensions(rest: list[Element]) -> tuple[tuple[tuple[str, bytes], ...], bool]:
    found: list[tuple[str, bytes]] = []
    unread = False
    try:
        listed = [
            extension
            for part in rest
            if part.tag == _EXTENSIONS
            for sequence in part.children()
            for extension in sequence.children()
        ]
    except MalformedPkcs12:
        return (), True
    for extension in listed:
        try:
            kind, *_critical, value = extension.sequence(2, 3)
            found.append((read_oid(kind), value.octets()))
        except (MalformedPkcs12, ValueError):
            unread = True
    return tuple(found), unread
