"""Reading tags, lengths and contents: BER and DER (X.690 §8.1), with caps on depth and on count.

A tenth of the PKCS#12 files in use is BER: indefinite lengths, OCTET STRINGs in parts (RFC 7292 §4 permits).
Elements are read one level at a time, so nothing is read that nobody asks for.
"""

from bulkcert.errors import MalformedPkcs12

MOST_ELEMENTS = 20_000
"""Elements read of one file, inner ones each time they are skipped over; real files take a few hundred."""

MOST_TRAILING = 1024
"""Octets that may follow the end of a file: line ends, and what transfers add. Zeros may be more."""

DEEPEST = 32
"""Levels of indefinite length or of OCTET STRINGs in parts; real files have at most 6."""

INTEGER, OCTET_STRING, NULL, OBJECT_IDENTIFIER, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
OCTET_STRING_IN_PARTS = 0x24
CONTEXT_0, CONTEXT_0_CONSTRUCTED = 0x80, 0xA0
_CONSTRUCTED = 0x20
_LONG_TAG = 0x1F
_INDEFINITE = 0x80
_IN_ONE_OCTET, _IN_TWO_OCTETS = 0x81, 0x82
_LONGEST_LENGTH = 4  # octets of a long-form length: 4 GiB, far beyond any file that is read
_TOO_EARLY, _ODD_TAG = "it ends too early", "it has a tag that no PKCS#12 has"


class Allowance:
    """How many more elements of one file may be read."""

    __slots__ = ("left",)

    def __init__(self, elements: int = MOST_ELEMENTS) -> None:
        self.left = elements

    def take(self, elements: int) -> None:
        """Count elements."""
        self.left -= elements
        if self.left < 0:
            raise too_many()


class Element:
    """One element: its identifier octet and its contents.

    Not a dataclass: hundreds are made for each file, and a frozen one takes three times as long to make.
    """

    __slots__ = ("allowance", "content", "tag")

    def __init__(self, tag: int, content: bytes, allowance: Allowance) -> None:
        self.tag = tag
        self.content = content
        self.allowance = allowance

    def children(self) -> list["Element"]:
        """Read the elements in the contents of a constructed element."""
        if not self.tag & _CONSTRUCTED:
            raise broken("a structure is missing")
        return _read_elements(self.content, self.allowance)

    def sequence(self, least: int, most: int) -> list["Element"]:
        """Read the elements of a SEQUENCE that has so many."""
        if self.tag != SEQUENCE:
            raise misplaced(self.tag, SEQUENCE)
        parts = _read_elements(self.content, self.allowance)
        if not least <= len(parts) <= most:
            raise broken("a structure has too few or too many parts")
        return parts

    def expect(self, tag: int) -> "Element":
        """Return the element itself if it has this tag."""
        if self.tag != tag:
            raise misplaced(self.tag, tag)
        return self

    def explicit(self) -> "Element":
        """Return the one element inside [0] EXPLICIT."""
        if self.tag != CONTEXT_0_CONSTRUCTED:
            raise misplaced(self.tag, CONTEXT_0_CONSTRUCTED)
        parts = _read_elements(self.content, self.allowance)
        if len(parts) != 1:
            raise broken("a part does not hold exactly one other")
        return parts[0]

    def octets(self, depth: int = 0) -> bytes:
        """Return the octets of an OCTET STRING or of [0] IMPLICIT one, whole or in parts (X.690 §8.7)."""
        if self.tag in {OCTET_STRING, CONTEXT_0}:
            return self.content
        if self.tag not in {OCTET_STRING_IN_PARTS, CONTEXT_0_CONSTRUCTED}:
            raise broken("an OCTET STRING is missing")
        if depth > DEEPEST:
            raise broken("it is nested too deeply")
        return b"".join(part.octets(depth + 1) for part in self.children())

    def encode(self) -> bytes:
        """Write the element with a definite, shortest length (X.690 §10.1); its contents stay as they are."""
        length = len(self.content)
        if length < _INDEFINITE:
            return bytes((self.tag, length)) + self.content
        octets = length.to_bytes((length.bit_length() + 7) // 8)
        return bytes((self.tag, _INDEFINITE | len(octets))) + octets + self.content

    def integer(self) -> int:
        """Return the value of an INTEGER (X.690 §8.3)."""
        if self.tag != INTEGER:
            raise misplaced(self.tag, INTEGER)
        if not self.content:
            raise broken("an INTEGER is empty")
        return int.from_bytes(self.content, signed=True)

    def oid(self) -> bytes:
        """Return an object identifier as it is encoded (X.690 §8.19)."""
        if self.tag != OBJECT_IDENTIFIER:
            raise misplaced(self.tag, OBJECT_IDENTIFIER)
        return self.content


def broken(what: str) -> MalformedPkcs12:
    """Say that the file is not a PKCS#12, and why."""
    return MalformedPkcs12(f"The file is not a readable PKCS#12: {what}.")


def too_many() -> MalformedPkcs12:
    """Say that the file has more elements than are read."""
    return MalformedPkcs12("The file has too many parts for a PKCS#12 of one device.")


def misplaced(tag: int, wanted: int) -> MalformedPkcs12:
    """Say that a part of the file has another tag than its place demands."""
    return broken(f"a part has the tag {tag:#04x} where {wanted:#04x} belongs")


def read(data: bytes, allowance: Allowance) -> Element:
    """Read the one element that `data` is; zero octets may follow it, as real files have them."""
    element, after = _read_first(data, allowance)
    if after < len(data) and data[after:].strip(b"\0"):
        raise broken("something follows its end")
    return element


def read_file(data: bytes, allowance: Allowance) -> tuple[Element, int]:
    """Read the element that a file begins with, and return it with the number of octets that follow it."""
    element, after = _read_first(data, allowance)
    trailing = len(data) - after
    if trailing > MOST_TRAILING and data[after:].strip(b"\0"):
        raise broken(f"more than {MOST_TRAILING:,} bytes follow its end")
    return element, trailing


def _read_first(data: bytes, allowance: Allowance) -> tuple[Element, int]:
    allowance.take(1)
    tag, start, stop, after = _extent(data, 0, allowance)
    return Element(tag, data[start:stop], allowance), after


def _read_elements(content: bytes, allowance: Allowance) -> list[Element]:
    """Read the elements that stand in contents, one after the other."""
    found: list[Element] = []
    at, end = 0, len(content)
    try:
        while at < end:
            # A file has a hundred, nearly all with one of these three forms of length: read without a call.
            tag, length = content[at], content[at + 1]
            if length < _INDEFINITE:
                start = at + 2
                at = start + length
            elif length == _IN_TWO_OCTETS:
                start = at + 4
                at = start + (content[at + 2] << 8 | content[at + 3])
            elif length == _IN_ONE_OCTET:
                start = at + 3
                at = start + content[at + 2]
            else:
                tag, start, stop, at = _extent(content, at, allowance)
                found.append(Element(tag, content[start:stop], allowance))
                continue
            if at > end:
                raise broken(_TOO_EARLY)
            if tag & _LONG_TAG == _LONG_TAG:
                raise broken(_ODD_TAG)
            found.append(Element(tag, content[start:at], allowance))
    except IndexError:
        raise broken(_TOO_EARLY) from None
    allowance.left -= len(found)  # as `take` does, without a call
    if allowance.left < 0:
        raise too_many()
    return found


def _extent(data: bytes, at: int, allowance: Allowance) -> tuple[int, int, int, int]:
    """Read an element's tag, where its contents start and end, and where the next element starts."""
    tag, start, stop = _header(data, at)
    return tag, start, *((stop, stop) if stop >= 0 else _end_of_contents(data, start, allowance))


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Read identifier and length octets; give the tag and where the contents start and end (-1: unsaid)."""
    start = at + 2
    if start > len(data):
        raise broken(_TOO_EARLY)
    tag, length = data[at], data[at + 1]
    if tag & _LONG_TAG == _LONG_TAG:
        raise broken(_ODD_TAG)
    if length >= _INDEFINITE:
        if length == _INDEFINITE and tag & _CONSTRUCTED:
            return tag, start, -1
        size = length & 0x7F
        if not 0 < size <= _LONGEST_LENGTH:
            raise broken("a length is wrong")
        length = int.from_bytes(data[start : start + size])
        start += size
    end = start + length
    if end > len(data):
        raise broken(_TOO_EARLY)
    return tag, start, end


def _end_of_contents(data: bytes, at: int, allowance: Allowance) -> tuple[int, int]:
    """Find where contents of indefinite length end, and where the next element starts (X.690 §8.1.5)."""
    open_ones = 1
    while True:
        allowance.take(1)
        tag, start, end = _header(data, at)
        if end < 0:
            open_ones += 1
            if open_ones > DEEPEST:
                raise broken("it is nested too deeply")
        elif tag == 0:
            if end != start:
                raise broken("a length is wrong")
            open_ones -= 1
            if not open_ones:
                return at, end
        at = start if end < 0 else end
