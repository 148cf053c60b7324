"""The records of a zip: where its directory stands, and what the directory says of each entry.

Read with `struct` rather than `zipfile`, because `zipfile` takes the directory into memory whole (a hostile
one of 60,000 long names costs 145 MB), believes a forged end record, and cuts names at a NUL. Sections cited
are those of PKWARE's APPNOTE 6.3.10. Nothing here trusts a number before it is compared with the file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, NoReturn

from bulkcert.errors import MalformedZip, NotAZip, UnsupportedZip
from bulkcert.errors.file_kinds import FileKind
from bulkcert.formats.recognition import MOST_LOOKED_AT, describe, recognise
from bulkcert.formats.zip.names import decode_name, extra_fields

CHUNK = 64 * 1024

LOCAL_HEADER = b"PK\3\4"
END_RECORD = b"PK\5\6"
SPLIT_MARKERS = (b"PK00", b"PK\7\x08")
"""One of them stands before the first entry where a tool could have split the zip and did not (§8.5)."""

_END = struct.Struct("<4s4H2IH")  # §4.3.16
_ZIP64_LOCATOR = struct.Struct("<4sIQI")  # §4.3.15
_ZIP64_END = struct.Struct("<4sQ2H2I4Q")  # §4.3.14
_CENTRAL = struct.Struct("<4s6H3I5H2I")  # §4.3.12
_LONGEST_COMMENT = 0xFFFF
_USUAL_RECORD = 256


class Window:
    """Random access to a file through one chunk of memory: reads close to each other cost one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = 0
        self._chunk = b""
        self.size = file.seek(0, 2)

    def at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on, fewer where the file ends. `offset` lies in the file."""
        begin = offset - self._start
        if begin < 0 or begin + length > len(self._chunk):
            self._file.seek(offset)
            self._chunk = self._file.read(max(length, CHUNK))
            self._start = offset
            begin = 0
        return self._chunk[begin : begin + length]


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory stands in the file, and how many entries it is said to have."""

    offset: int
    size: int
    count: int
    is_zip64: bool

    def has(self, entries: int) -> bool:
        """Return whether the count in the end record is that of the entries that were read."""
        # Archive Utility of macOS keeps the low 16 bits of the count and never writes zip64.
        return self.count == (entries if self.is_zip64 else entries & 0xFFFF)


class Content(NamedTuple):
    """Where the content of an entry lies, and what it must be. Sizes are in bytes."""

    header_offset: int
    method: int
    crc: int
    compressed_size: int
    size: int


class Entry(NamedTuple):
    """One entry as the central directory describes it; a tuple, since a bundle makes many short-lived ones.

    record: where in the file its record stands. name: decoded (`zip_names`), and hostile; one of more than
    256 characters is cut in the middle to 256. name_hash: of its bytes. mode: Unix file mode, 0
    where the zip was not made on Unix. Sizes are in bytes.
    """

    record: int
    name: str
    name_hash: int
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    disk: int
    mode: int
    header_offset: int

    @property
    def is_folder(self) -> bool:
        """Return whether the entry stands for a folder (§4.3.17.1: its name ends in a slash)."""
        return self.name.endswith("/")

    @property
    def is_ordinary(self) -> bool:
        """Return whether the entry is a file: no symbolic link, device, socket or pipe."""
        return self.mode & 0o170000 in {0, 0o100000}


def find_directory(window: Window) -> Directory:
    """Read the end record, and the zip64 one where there is one.

    Raises NotAZip, MalformedZip (the record contradicts the file) or UnsupportedZip (several disks).
    """
    position = _end_position(window)
    (_, disk, directory_disk, on_disk, count, size, offset, _) = _END.unpack(window.at(position, _END.size))
    directory = Directory(offset, size, count, is_zip64=False)
    locator = window.at(max(position - _ZIP64_LOCATOR.size, 0), _ZIP64_LOCATOR.size)
    if position >= _ZIP64_LOCATOR.size and locator.startswith(b"PK\6\7"):
        position, directory = _zip64_directory(window, position, directory)
    elif disk or directory_disk or on_disk != count:
        _split()
    if directory.offset + directory.size != position:
        raise MalformedZip(
            "The zip's end record points to the wrong place: other data stands before the zip, or was put "
            "between its parts."
        )
    return directory


def _end_position(window: Window) -> int:
    """Find the one end record whose comment ends where the file ends (§4.3.16)."""
    start = max(window.size - _END.size - _LONGEST_COMMENT, 0)
    tail = window.at(start, window.size - start)
    found = [at for at in _occurrences(tail, END_RECORD) if at + _END.size <= len(tail)]
    fitting = [at for at in found if at + _END.size + _comment_length(tail, at) == len(tail)]
    if not fitting:
        _refuse_without_end(window, tail, found)
    # Readers differ in which of two end records they believe, so one zip would mean two things.
    if found[-1] != fitting[0]:
        raise MalformedZip("The zip has a second end record inside its comment.")
    return start + fitting[0]


def _occurrences(content: bytes, wanted: bytes) -> Iterator[int]:
    at = content.find(wanted)
    while at >= 0:
        yield at
        at = content.find(wanted, at + 1)


def _comment_length(tail: bytes, at: int) -> int:
    length: int = _END.unpack_from(tail, at)[-1]
    return length


def _refuse_without_end(window: Window, tail: bytes, found: list[int]) -> NoReturn:
    looks_like = recognise(window.at(0, MOST_LOOKED_AT))
    is_zip = looks_like is not None and looks_like.kind is FileKind.ZIP
    if looks_like is not None and not is_zip:
        raise NotAZip(describe(looks_like, "a zip"), found=looks_like.kind)
    if found:
        end = found[-1] + _END.size + _comment_length(tail, found[-1])
        if end < len(tail):
            raise MalformedZip(f"There are {len(tail) - end} bytes after the end of the zip.")
        raise MalformedZip("The zip is cut off inside the comment at its end.")
    if is_zip:
        raise MalformedZip("The zip has no end record: it was cut off, or other data was added to it.")
    raise NotAZip("This is not a zip.")


def _zip64_directory(window: Window, end: int, classic: Directory) -> tuple[int, Directory]:
    """Read the zip64 end record, which must stand right before its locator and agree with the classic one."""
    locator_position = end - _ZIP64_LOCATOR.size
    (_, locator_disk, position, disks) = _ZIP64_LOCATOR.unpack(
        window.at(locator_position, _ZIP64_LOCATOR.size)
    )
    if locator_disk or disks > 1:
        _split()
    if position + _ZIP64_END.size != locator_position:
        raise MalformedZip("The zip64 end record is not where its locator says.")
    (signature, length, _, _, disk, directory_disk, on_disk, count, size, offset) = _ZIP64_END.unpack(
        window.at(position, _ZIP64_END.size)
    )
    if signature != b"PK\6\6" or length != _ZIP64_END.size - 12:
        raise MalformedZip("The zip64 end record is not one.")
    if disk or directory_disk or on_disk != count:
        _split()
    # §4.4.1.4: a classic field either is all ones, or says the same.
    if (
        classic.count not in {count, 0xFFFF}
        or classic.size not in {size, 0xFFFFFFFF}
        or classic.offset not in {offset, 0xFFFFFFFF}
    ):
        raise MalformedZip("The zip's two end records contradict each other.")
    return position, Directory(offset, size, count, is_zip64=True)


def _split() -> NoReturn:
    raise UnsupportedZip("The zip is one part of several (split or multi-disk).")


def read_entries(window: Window, directory: Directory) -> Iterator[Entry]:
    """Read the central directory, an entry at a time. Raises MalformedZip where it does not add up."""
    at = directory.offset
    end = at + directory.size
    while at < end:
        entry, at = _entry_at(window, at, end)
        yield entry


def read_entry(window: Window, directory: Directory, record: int) -> Entry:
    """Read one entry of the central directory again."""
    return _entry_at(window, record, directory.offset + directory.size)[0]


def _entry_at(window: Window, at: int, end: int) -> tuple[Entry, int]:
    record = window.at(at, min(_USUAL_RECORD, end - at))
    if len(record) < _CENTRAL.size or not record.startswith(b"PK\1\2"):
        raise MalformedZip(f"The zip's directory holds something that is no entry, at byte {at}.")
    (_, _, _, flags, method, _, _, crc, compressed_size, size, *lengths, disk, _, attributes, offset) = (
        _CENTRAL.unpack_from(record)
    )
    name_end = _CENTRAL.size + lengths[0]
    following = at + name_end + lengths[1] + lengths[2]
    if following > end:
        raise MalformedZip(f"The zip's directory ends in the middle of an entry, at byte {at}.")
    if name_end + lengths[1] > len(record):
        record = window.at(at, name_end + lengths[1])
    raw_name = record[_CENTRAL.size : name_end]
    if compressed_size == 0xFFFFFFFF or size == 0xFFFFFFFF or offset == 0xFFFFFFFF or disk == 0xFFFF:
        numbers = _zip64_numbers(record[name_end : name_end + lengths[1]])
        try:
            size = next(numbers) if size == 0xFFFFFFFF else size
            compressed_size = next(numbers) if compressed_size == 0xFFFFFFFF else compressed_size
            offset = next(numbers) if offset == 0xFFFFFFFF else offset
        except StopIteration:
            raise MalformedZip(f"The zip64 sizes of the directory entry at byte {at} are missing.") from None
        disk = 0 if disk == 0xFFFF else disk
    entry = Entry(
        at,
        decode_name(raw_name, flags, record[name_end : name_end + lengths[1]]),
        hash(raw_name),
        flags,
        method,
        crc,
        compressed_size,
        size,
        disk,
        attributes >> 16,
        offset,
    )
    return entry, following


def _zip64_numbers(extra: bytes) -> Iterator[int]:
    """Give the 8-byte numbers of the zip64 extra field (§4.5.3), in the order of the fields they replace."""
    content = next((content for kind, content in extra_fields(extra) if kind == 1), b"")
    yield from (number for (number,) in struct.iter_unpack("<Q", content[: len(content) & ~7]))
