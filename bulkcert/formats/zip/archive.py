"""A zip from a stranger: checked as a whole before anything in it is read, then read an entry at a time.

A zip must say one thing to every reader: no bytes that two entries share, none that the directory does not
account for, no second end record. It must not cost more than the limits, whatever it declares. Nothing of it
is written to a disk.
"""

import struct
import zlib
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

from bulkcert.errors import BundleTooLarge, EncryptedZip, MalformedZip, TooManyEntries, UnsupportedZip
from bulkcert.formats.bundle.entry_names import shown
from bulkcert.formats.zip.records import (
    CHUNK,
    LOCAL_HEADER,
    SPLIT_MARKERS,
    Content,
    Entry,
    Window,
    find_directory,
    read_entries,
    read_entry,
)
from bulkcert.values.limits import Limits

STORED = 0
DEFLATED = 8

_LOCAL = struct.Struct("<4s5H3I2H")  # APPNOTE §4.3.7
_METHODS = {
    1: "shrink",
    6: "implode",
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "xz",
    98: "PPMd",
}
_ENCRYPTED = 0x2041  # bits 0, 6 and 13 (§4.4.4): the content, strongly, the directory too
_PATCHED = 0x20
_LONGEST_DESCRIPTOR = 24  # §4.3.9, with signature and zip64 sizes; streaming tools write it after the content


class UnreadableEntry(Exception):  # noqa: N818 - named for what it says of the entry
    """The content of one entry is damaged; the text says how. Other entries are not touched by it."""


class Archive:
    """A zip that passed every check of its structure.

    file: seekable, open for as long as the archive is used; its `read(n)` gives n bytes but at the end.
    is_in_order: whether the contents lie in the order of the directory.
    Raises NotAZip, MalformedZip, UnsupportedZip, EncryptedZip, BundleTooLarge or TooManyEntries.
    """

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        # Reading entries in their order takes turns between directory and contents: a window for each.
        self._listing = Window(file)
        self._contents = Window(file)
        if self._listing.size > limits.bundle_bytes:
            raise BundleTooLarge(
                f"The zip has {self._listing.size} bytes; the limit is {limits.bundle_bytes}."
            )
        self._directory = find_directory(self._listing)
        self._check(limits)

    def entries(self) -> Iterator[Entry]:
        """Read the directory from its beginning: every entry, in its order, folders and all."""
        return read_entries(self._listing, self._directory)

    def entry(self, record: int) -> Entry:
        """Read one entry of the directory again, by its `record`."""
        return read_entry(self._listing, self._directory, record)

    def read(self, entry: Entry | Content) -> bytes:
        """Return the whole content of an entry: exactly `entry.size` bytes, with the right CRC.

        The caller has compared `entry.size` with its limit. Raises UnreadableEntry.
        """
        start = _content_offset(self._contents, entry.header_offset)
        if entry.method == DEFLATED:
            content = self._inflate(start, start + entry.compressed_size, entry.size)
        else:
            content = self._contents.at(start, entry.compressed_size)
        if len(content) != entry.size:
            raise UnreadableEntry("its content is not as long as the directory says")
        if zlib.crc32(content) != entry.crc:
            raise UnreadableEntry("its CRC-32 is wrong")
        return content

    def _inflate(self, start: int, end: int, size: int) -> bytes:
        """Inflate at most one byte more than `size`, whatever the content claims to hold."""
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        content = bytearray()
        for offset in range(start, end, CHUNK):
            packed = self._contents.at(offset, min(CHUNK, end - offset))
            while packed and len(content) <= size:
                if inflater.eof:
                    raise UnreadableEntry("its compressed content ends too early")
                try:
                    content += inflater.decompress(packed, size + 1 - len(content))
                except zlib.error:
                    raise UnreadableEntry("its compressed content is broken") from None
                packed = inflater.unused_data or inflater.unconsumed_tail
        if not inflater.eof and len(content) <= size:
            raise UnreadableEntry("its compressed content is cut off")
        return bytes(content)

    def _check(self, limits: Limits) -> None:
        """Check every entry of the directory, then that their contents do not overlap."""
        if self._directory.count > limits.entries:
            raise TooManyEntries(_too_many(limits))
        offsets, sizes, hashes = array("Q"), array("Q"), array("q")
        unpacked = 0
        for entry in self.entries():
            _check_entry(entry, self._directory.offset)
            unpacked += entry.size
            if unpacked > limits.unpacked_bytes:
                raise BundleTooLarge(f"The zip unpacks to more than {limits.unpacked_bytes} bytes.")
            if len(offsets) == limits.entries:
                raise TooManyEntries(_too_many(limits))
            offsets.append(entry.header_offset)
            sizes.append(entry.compressed_size)
            hashes.append(entry.name_hash)
        if not self._directory.has(len(offsets)):
            raise MalformedZip(
                f"The zip's end record counts {self._directory.count} entries, "
                f"its directory holds {len(offsets)}."
            )
        self.is_in_order = all(one < other for one, other in pairwise(offsets))
        self._check_contents(offsets, sizes, hashes)

    def _check_contents(self, offsets: "array[int]", sizes: "array[int]", hashes: "array[int]") -> None:
        """Check that entries share no bytes, and leave none between them for an entry that is not listed."""
        begin = end = len(SPLIT_MARKERS[0]) if self._contents.at(0, 4) in SPLIT_MARKERS else 0
        for number in sorted(range(len(offsets)), key=offsets.__getitem__):
            offset = offsets[number]
            if offset < end:
                raise MalformedZip(f"Two entries of the zip share the bytes from {offset} on.")
            self._check_gap(end, offset, is_first=end == begin)
            _check_local_header(self._contents, offset, hashes[number])
            end = _content_offset(self._contents, offset) + sizes[number]
        if end > self._directory.offset:
            raise MalformedZip("The last entry of the zip reaches into the directory.")
        self._check_gap(end, self._directory.offset, is_first=end == begin)

    @staticmethod
    def _check_gap(end: int, offset: int, *, is_first: bool) -> None:
        if offset - end > (0 if is_first else _LONGEST_DESCRIPTOR):
            raise MalformedZip(
                f"The zip holds {offset - end} bytes from {end} on that belong to no entry of its directory."
            )


def _too_many(limits: Limits) -> str:
    return f"The zip has more than {limits.entries} entries."


def _check_entry(entry: Entry, directory_offset: int) -> None:
    if entry.flags & _ENCRYPTED:
        raise EncryptedZip(f"The entry {_named(entry)} is encrypted.")
    if entry.disk:
        raise UnsupportedZip("The zip is one part of several (split or multi-disk).")
    if entry.flags & _PATCHED:
        raise UnsupportedZip(f"The entry {_named(entry)} is a patch, not a file.")
    if entry.method not in {STORED, DEFLATED}:
        method = _METHODS.get(entry.method, f"number {entry.method}")
        raise UnsupportedZip(f"The entry {_named(entry)} is compressed with the method {method}.")
    if entry.header_offset + _LOCAL.size + entry.compressed_size > directory_offset:
        raise MalformedZip(f"The entry {_named(entry)} reaches past the end of the zip's contents.")
    if entry.method == STORED and entry.size != entry.compressed_size:
        raise MalformedZip(f"The two sizes of the stored entry {_named(entry)} differ.")


def _named(entry: Entry) -> str:
    return f"'{shown(entry.name, 60)}'"


def _check_local_header(window: Window, offset: int, name_hash: int) -> None:
    header = window.at(offset, _LOCAL.size)
    if not header.startswith(LOCAL_HEADER):
        raise MalformedZip(f"There is no entry at byte {offset} of the zip, where the directory says one is.")
    name_length = _LOCAL.unpack(header)[9]
    if hash(window.at(offset + _LOCAL.size, name_length)) != name_hash:
        raise MalformedZip(f"The entry at byte {offset} of the zip has another name in the directory.")


def _content_offset(window: Window, header_offset: int) -> int:
    (*_, name_length, extra_length) = _LOCAL.unpack(window.at(header_offset, _LOCAL.size))
    return header_offset + _LOCAL.size + int(name_length) + int(extra_length)
