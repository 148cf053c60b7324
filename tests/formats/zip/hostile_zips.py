"""Zips made byte by byte, so that each can lie in one place and be right in all others (APPNOTE 4.3)."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STORED = 0
DEFLATED = 8
UTF8 = 0x800
STREAMED = 0x08
ENCRYPTED = 0x01

REGULAR = 0o100644
SYMLINK = 0o120777
SIZE_IS_ELSEWHERE = 0xFFFFFFFF


def deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@dataclass(frozen=True)
class Packed:
    """An entry: honest by default, and each field that is given is written as given."""

    name: bytes
    content: bytes = b""
    method: int = STORED
    flags: int = UTF8
    mode: int = REGULAR
    disk: int = 0
    crc: int | None = None
    size: int | None = None
    compressed_size: int | None = None
    header_offset: int | None = None
    local_name: bytes | None = None
    local_extra: bytes = b""
    extra: bytes = b""
    comment: bytes = b""
    packed: bytes | None = None  # what stands in the file instead of the packed content
    descriptor: bytes = b""

    @property
    def stored(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflate(self.content) if self.method == DEFLATED else self.content

    @property
    def _numbers(self) -> tuple[int, int, int]:
        crc = zlib.crc32(self.content) if self.crc is None else self.crc
        compressed = len(self.stored) if self.compressed_size is None else self.compressed_size
        return crc, compressed, len(self.content) if self.size is None else self.size

    def local(self) -> bytes:
        numbers = (0, 0, 0) if self.flags & STREAMED else self._numbers
        name = self.name if self.local_name is None else self.local_name
        header = struct.pack(
            "<4s5H3I2H",
            b"PK\3\4",
            20,
            self.flags,
            self.method,
            0,
            0x21,
            *numbers,
            len(name),
            len(self.local_extra),
        )
        return header + name + self.local_extra

    def central(self, offset: int) -> bytes:
        offset = offset if self.header_offset is None else self.header_offset
        lengths = (len(self.name), len(self.extra), len(self.comment))
        fixed = struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", 0x0314, 20, self.flags, self.method, 0, 0x21),
            *(*self._numbers, *lengths, self.disk, 0, self.mode << 16, offset),
        )
        return fixed + self.name + self.extra + self.comment


def end_record(
    count: int,
    size: int,
    offset: int,
    *,
    comment: bytes = b"",
    comment_length: int | None = None,
    disk: int = 0,
    total: int | None = None,
) -> bytes:
    length = len(comment) if comment_length is None else comment_length
    total = count if total is None else total
    return struct.pack("<4s4H2IH", b"PK\5\6", disk, 0, count, total, size, offset, length) + comment


def zip64_end(count: int, size: int, offset: int, *, position: int | None = None, disks: int = 1) -> bytes:
    """The zip64 end record, its locator, and a classic end record that refers to them."""
    position = offset + size if position is None else position
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, position, disks)
    return record + locator + end_record(0xFFFF, SIZE_IS_ELSEWHERE, SIZE_IS_ELSEWHERE)


def contents_and_directory(entries: Iterable[Packed]) -> tuple[bytes, bytes]:
    contents = bytearray()
    directory = bytearray()
    for entry in entries:
        directory += entry.central(len(contents))
        contents += entry.local() + entry.stored + entry.descriptor
    return bytes(contents), bytes(directory)


def a_zip_of(
    entries: Sequence[Packed],
    *,
    count: int | None = None,
    comment: bytes = b"",
    zip64: bool = False,
    hidden: bytes = b"",
) -> bytes:
    """A zip of these entries. `count` is what the end record says; `hidden` stands before the directory."""
    contents, directory = contents_and_directory(entries)
    contents += hidden
    count = len(entries) if count is None else count
    if zip64:
        return contents + directory + zip64_end(count, len(directory), len(contents))
    return contents + directory + end_record(count, len(directory), len(contents), comment=comment)


def streamed(name: bytes, content: bytes, *, signature: bytes = b"PK\7\x08") -> Packed:
    """An entry as a tool writes it that does not know the sizes beforehand (§4.3.9)."""
    packed = deflate(content)
    descriptor = signature + struct.pack("<3I", zlib.crc32(content), len(packed), len(content))
    return Packed(name, content, DEFLATED, UTF8 | STREAMED, descriptor=descriptor)


def zip64_entry(name: bytes, content: bytes, header_offset: int = 0) -> Packed:
    """An entry whose sizes and offset all stand in the zip64 extra field (§4.5.3)."""
    extra = struct.pack("<2H3Q", 1, 24, len(content), len(content), header_offset)
    elsewhere = SIZE_IS_ELSEWHERE
    return Packed(
        name, content, extra=extra, size=elsewhere, compressed_size=elsewhere, header_offset=elsewhere
    )


def full_overlap_bomb(names: Sequence[bytes], kernel: bytes) -> bytes:
    """Every directory entry points to one and the same content."""
    entries = [Packed(names[0], kernel, DEFLATED)]
    contents, _ = contents_and_directory(entries)
    directory = b"".join(Packed(name, kernel, DEFLATED).central(0) for name in names)
    return contents + directory + end_record(len(names), len(directory), len(contents))


def quoted_overlap_bomb(names: Sequence[bytes], kernel: bytes) -> bytes:
    """Each entry's content quotes the next one's local header and goes on into its content (Fifield, 2019)."""
    tail = deflate(kernel)
    content = kernel
    placed: list[tuple[Packed, int]] = []
    for name in reversed(names):
        entry = Packed(name, content, DEFLATED, packed=tail)
        placed.append((entry, len(tail)))
        header = entry.local()
        quote = b"\0" + struct.pack("<2H", len(header), 0xFFFF ^ len(header))
        tail, content = quote + header + tail, header + content
    contents = tail[5:]  # the first header is quoted by nobody
    directory = b"".join(
        entry.central(len(contents) - length - len(entry.local())) for entry, length in reversed(placed)
    )
    return contents + directory + end_record(len(placed), len(directory), len(contents))
