"""What a zip must be to be read at all, and that reading an entry gives its content or says why not."""

import gzip
import io
import shutil
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import (
    BundleTooLarge,
    EncryptedZip,
    MalformedZip,
    NotAZip,
    RequestRefusal,
    TooManyEntries,
    UnsupportedZip,
)
from bulkcert.formats.zip.archive import Archive, UnreadableEntry
from bulkcert.values.limits import Limits
from tests.builders import a_zip
from tests.formats.zip.hostile_zips import (
    DEFLATED,
    ENCRYPTED,
    UTF8,
    Packed,
    a_zip_of,
    contents_and_directory,
    deflate,
    end_record,
    full_overlap_bomb,
    quoted_overlap_bomb,
    streamed,
    zip64_end,
    zip64_entry,
)

ONE = Packed(b"A12BC3D4EFGH.p12", b"first content")
TWO = Packed(b"credential.txt", b"second content " * 20, DEFLATED)
GOOD = a_zip_of([ONE, TWO])
MUCH = bytes(range(256)) * 3
NO_LIMITS_GIVEN = Limits()


def opened(content: bytes, limits: Limits = NO_LIMITS_GIVEN) -> Archive:
    return Archive(io.BytesIO(content), limits)


def everything_in(content: bytes, limits: Limits = NO_LIMITS_GIVEN) -> dict[str, bytes]:
    archive = opened(content, limits)
    return {entry.name: archive.read(entry) for entry in archive.entries() if not entry.is_folder}


class Pipe(io.RawIOBase):
    """Something that can be written to and nothing else."""

    def __init__(self, target: io.BytesIO) -> None:
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:
        return self._target.write(content)


# --- zips that are read -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_ordinary_zip_reads_back_as_it_was_written(method: int) -> None:
    entries = {"A12BC3D4EFGH.p12": bytes(range(256)) * 40, "empty.txt": b"", "folder/b.p12": b"b"}

    assert everything_in(a_zip(entries, method)) == entries


def test_data_descriptors_are_read() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(Pipe(target), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("a.p12", b"streamed " * 100)
        archive.writestr("b.p12", b"streamed too")

    assert everything_in(target.getvalue()) == {"a.p12": b"streamed " * 100, "b.p12": b"streamed too"}


@pytest.mark.parametrize("signature", [b"PK\7\x08", b""])
def test_a_data_descriptor_needs_no_signature(signature: bytes) -> None:
    content = a_zip_of([streamed(b"a", b"x" * 99, signature=signature), streamed(b"b", b"y")])

    assert everything_in(content) == {"a": b"x" * 99, "b": b"y"}


def test_zip64_sizes_and_end_record_are_read() -> None:
    assert everything_in(a_zip_of([zip64_entry(b"a", b"content")], zip64=True)) == {"a": b"content"}


def test_a_zip64_entry_of_an_ordinary_tool_is_read() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive, archive.open("a.p12", "w", force_zip64=True) as entry:
        entry.write(b"content")

    assert everything_in(target.getvalue()) == {"a.p12": b"content"}


@pytest.mark.parametrize("comment", [b"x", b"made by hand\n", b"c" * 0xFFFF])
def test_a_comment_is_no_fault(comment: bytes) -> None:
    assert len(everything_in(a_zip_of([ONE, TWO], comment=comment))) == 2


def test_extra_fields_and_entry_comments_are_passed_over() -> None:
    entry = Packed(
        b"a", b"1", extra=b"UX\x04\0abcd", local_extra=b"UX\x08\0abcdefgh", comment=b"PK\5\6" + bytes(30)
    )

    assert everything_in(a_zip_of([entry, TWO]))["a"] == b"1"


@pytest.mark.slow
def test_a_count_that_ran_over_as_archive_utility_writes_it_is_read() -> None:
    entries = [Packed(b"%d" % number) for number in range(0x10000 + 3)]

    assert sum(1 for _ in opened(a_zip_of(entries, count=3)).entries()) == 0x10000 + 3


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zip") is None, reason="needs zip")
@pytest.mark.parametrize("options", [[], ["-0"], ["-fd"], ["-fz"], ["-z"]])
def test_what_info_zip_writes_is_read(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "phones").mkdir()
    (tmp_path / "phones/a.p12").write_bytes(b"content " * 50)
    command = ["zip", "-q", "-r", *options, "made.zip", "phones"]
    subprocess.run(command, cwd=tmp_path, check=True, input=b"a comment\n.\n", stdout=subprocess.DEVNULL)

    assert everything_in((tmp_path / "made.zip").read_bytes()) == {"phones/a.p12": b"content " * 50}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zip") is None, reason="needs zip")
def test_what_info_zip_streams_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.p12").write_bytes(b"content " * 50)
    made = subprocess.run(["zip", "-q", "-", "a.p12"], cwd=tmp_path, check=True, capture_output=True)

    assert everything_in(made.stdout) == {"a.p12": b"content " * 50}


@pytest.mark.parametrize(
    ("raw", "flags", "name"),
    [
        (b"plain.p12", 0, "plain.p12"),
        ("Büro.p12".encode(), UTF8, "Büro.p12"),
        ("Büro.p12".encode(), 0, "Büro.p12"),  # macOS
        (b"B\x81ro.p12", 0, "Büro.p12"),  # MS-DOS code page 437
        (b"B\x81ro.p12", UTF8, "B\N{REPLACEMENT CHARACTER}ro.p12"),
        (b"AA\0BB.p12", UTF8, "AA\0BB.p12"),
        (b"x" * 300 + b".p12", UTF8, "x" * 252 + ".p12"),
    ],
)
def test_a_name_is_decoded_and_otherwise_left_as_it_is(raw: bytes, flags: int, name: str) -> None:
    archive = opened(a_zip_of([Packed(raw, b"1", flags=flags)]))

    assert [entry.name for entry in archive.entries()] == [name]


# --- files that are no zip --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\0", "not a zip"),
        (b"A12BC3D4EFGH.p12=password1!\n", "not a zip"),
        (gzip.compress(GOOD), "gzip"),
        (b"<!DOCTYPE html><title>Sign in</title>", "HTML"),
        (b"\r\n<html>", "HTML"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'{"error": "expired"}', "JSON"),
        (b"\x30\x82\x0a\x00" + bytes(2560), "bare PKCS#12"),
        (b"\x30\x80" + bytes(100), "bare PKCS#12"),
        (b"-----BEGIN CERTIFICATE-----\n", "PEM"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(30), "7z"),
        (b"Rar!\x1a\x07\0" + bytes(30), "RAR"),
        (
            b"--boundary\r\nContent-Disposition: form-data\r\n\r\n" + GOOD + b"\r\n--boundary--\r\n",
            "multipart",
        ),
    ],
)
def test_what_is_not_a_zip_is_named_by_what_it_looks_like(content: bytes, says: str) -> None:
    with pytest.raises(NotAZip, match=says):
        opened(content)


@pytest.mark.parametrize("marker", [b"PK00", b"PK\7\x08"])
def test_the_marker_of_a_zip_that_could_have_been_split_is_passed_over(marker: bytes) -> None:
    contents, directory = contents_and_directory([ONE, TWO])
    directory = ONE.central(4) + TWO.central(4 + len(ONE.local() + ONE.stored))
    archive = opened(marker + contents + directory + end_record(2, len(directory), 4 + len(contents)))

    assert [archive.read(entry) for entry in archive.entries()] == [ONE.content, TWO.content]


# --- zips whose structure is refused ----------------------------------------------------------------


def _directory(content: bytes) -> tuple[int, int, int]:
    """Count, size and offset of the directory, from an end record without a comment."""
    count, size, offset = struct.unpack_from("<H2I", content, len(content) - 12)
    return count, size, offset


def _with_end_record(end: bytes) -> bytes:
    return GOOD[:-22] + end


COUNT, SIZE, OFFSET = _directory(GOOD)
CONTENTS, DIRECTORY = contents_and_directory([ONE, TWO])
NAMES = [b"%012d.p12" % number for number in range(20)]

MALFORMED = {
    "cut off in the contents": (GOOD[:40], "no end record"),
    "cut off in the directory": (GOOD[:-40], "no end record"),
    "cut off in the end record": (GOOD[:-1], "no end record"),
    "cut off in the comment": (a_zip_of([ONE], comment=b"comment")[:-3], "cut off"),
    "data before it": (b"#!/bin/sh\n" + GOOD, "stands before the zip"),
    "data before it, offsets corrected": (
        b"x" * 9
        + CONTENTS
        + ONE.central(9)
        + TWO.central(9 + len(ONE.local() + ONE.stored))
        + end_record(2, SIZE, OFFSET + 9),
        "belong to no entry",
    ),
    "more than a marker before it": (
        b"PK00x"
        + CONTENTS
        + ONE.central(5)
        + TWO.central(5 + len(ONE.local() + ONE.stored))
        + end_record(2, SIZE, OFFSET + 5),
        "belong to no entry",
    ),
    "another marker before it": (
        b"PK01"
        + CONTENTS
        + ONE.central(4)
        + TWO.central(4 + len(ONE.local() + ONE.stored))
        + end_record(2, SIZE, OFFSET + 4),
        "belong to no entry",
    ),
    "two zips joined": (GOOD + GOOD, "stands before the zip"),
    "4 KB after it": (GOOD + bytes(4096), "4096 bytes after the end"),
    "70 KB after it": (GOOD + bytes(70_000), "no end record"),
    "a second end record in the comment": (
        a_zip_of([ONE, TWO], comment=end_record(0, 0, 0)),
        "second end record",
    ),
    "an end record of nothing in the comment": (
        a_zip_of([ONE, TWO], comment=end_record(0, 0, len(GOOD) + 22)),
        "second end record",
    ),
    "an end record cut short in the comment": (a_zip_of([ONE, TWO], comment=b"PK\5\6" + bytes(40)), "second"),
    "an empty directory after contents": (CONTENTS + end_record(0, 0, len(CONTENTS)), "belong to no entry"),
    "a directory passed off as contents": (_with_end_record(end_record(0, 0, len(GOOD) - 22)), "belong to"),
    "the count one too low": (_with_end_record(end_record(COUNT - 1, SIZE, OFFSET)), "counts 1 .* holds 2"),
    "the count one too high": (_with_end_record(end_record(COUNT + 1, SIZE, OFFSET)), "counts 3 .* holds 2"),
    "the count nil": (_with_end_record(end_record(0, SIZE, OFFSET)), "counts 0 .* holds 2"),
    "the directory's size too small": (_with_end_record(end_record(COUNT, SIZE - 1, OFFSET)), "wrong place"),
    "the directory's size too large": (_with_end_record(end_record(COUNT, SIZE + 1, OFFSET)), "wrong place"),
    "the directory's offset beyond the file": (
        _with_end_record(end_record(COUNT, SIZE, 0xFFFFFFF0)),
        "wrong place",
    ),
    "the directory beginning inside an entry": (
        _with_end_record(end_record(COUNT, SIZE - 1, OFFSET + 1)),
        "is no entry",
    ),
    "a directory that ends in the middle of an entry": (
        CONTENTS + DIRECTORY[:-3] + end_record(2, len(DIRECTORY) - 3, len(CONTENTS)),
        "in the middle of an entry",
    ),
    "a directory that ends in the middle of a record": (
        CONTENTS + DIRECTORY[:-30] + end_record(2, len(DIRECTORY) - 30, len(CONTENTS)),
        "is no entry",
    ),
    "an entry that the directory leaves out": (
        a_zip_of([ONE], hidden=TWO.local() + TWO.stored),
        "belong to no entry",
    ),
    "an entry left out in the middle": (
        a_zip_of([Packed(b"a", descriptor=TWO.local() + TWO.stored), ONE]),
        "belong to no entry",
    ),
    "two names for one content": (full_overlap_bomb(NAMES, b"0" * 100_000), "share the bytes"),
    "contents that quote each other": (quoted_overlap_bomb(NAMES, b"0" * 100_000), "share the bytes"),
    "a compressed size larger than the file": (
        a_zip_of([Packed(b"a", b"x", DEFLATED, compressed_size=0xFFFFFFF0)]),
        "past the end",
    ),
    "a compressed size that reaches into the next entry": (
        a_zip_of([Packed(b"a", b"x", DEFLATED, compressed_size=40), TWO]),
        "share the bytes",
    ),
    "a compressed size that reaches into the directory": (
        a_zip_of([ONE, Packed(b"a", b"x", compressed_size=2, size=2)]),
        "reaches into the directory",
    ),
    "two sizes of a stored entry": (a_zip_of([Packed(b"a", b"xyz", size=2)]), "two sizes"),
    "an offset where no entry is": (
        a_zip_of([Packed(b"a", b"x" * 99), Packed(b"b", header_offset=40)]),
        "share the bytes",
    ),
    "no entry where the first should be": (
        b"PK\3\5" + a_zip_of([ONE, TWO])[4:],
        "no entry at byte 0",
    ),
    "no entry where the second should be": (
        a_zip_of([ONE, TWO]).replace(TWO.local(), b"PK\3\5" + TWO.local()[4:]),
        "no entry at byte 59",
    ),
    "an offset beyond the file": (a_zip_of([Packed(b"a", header_offset=0xFFFFFFF0)]), "past the end"),
    "another name at the entry": (a_zip_of([Packed(b"a.p12", b"x", local_name=b"b.p12")]), "another name"),
    "a name of another length": (a_zip_of([Packed(b"a.p12", b"x", local_name=b"aa.p12")]), "another name"),
    "zip64 sizes that are not there": (a_zip_of([Packed(b"a", b"x", size=0xFFFFFFFF)]), "are missing"),
    "zip64 sizes cut short": (
        a_zip_of([Packed(b"a", b"x", size=0xFFFFFFFF, extra=struct.pack("<2HI", 1, 4, 1))]),
        "are missing",
    ),
    "zip64 sizes of 2^64": (
        a_zip_of(
            [Packed(b"a", b"x", compressed_size=0xFFFFFFFF, extra=struct.pack("<2HQ", 1, 8, 2**64 - 1))]
        ),
        "past the end",
    ),
    "a zip64 locator that points elsewhere": (
        CONTENTS + DIRECTORY + zip64_end(2, SIZE, OFFSET, position=1),
        "not where its locator says",
    ),
    "a zip64 locator that points to something else": (
        CONTENTS + DIRECTORY + b"PK\6\5" + zip64_end(2, SIZE, OFFSET)[4:],
        "is not one",
    ),
    "a zip64 end record with something after it": (
        CONTENTS + DIRECTORY + zip64_end(2, SIZE, OFFSET).replace(b"PK\6\6\x2c", b"PK\6\6\x2d"),
        "is not one",
    ),
    "two end records that contradict each other": (
        CONTENTS + DIRECTORY + zip64_end(2, SIZE, OFFSET)[:-22] + end_record(7, SIZE, OFFSET),
        "contradict each other",
    ),
    "a zip64 count that ran over": (CONTENTS + DIRECTORY + zip64_end(0x10002, SIZE, OFFSET), "counts 65538"),
}


@pytest.mark.parametrize(("content", "says"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_zip_that_contradicts_itself_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(MalformedZip, match=says):
        opened(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_with_end_record(end_record(COUNT, SIZE, OFFSET, disk=1)), "one part of several"),
        (_with_end_record(end_record(COUNT, SIZE, OFFSET, total=COUNT + 1)), "one part of several"),
        (CONTENTS + DIRECTORY + zip64_end(2, SIZE, OFFSET, disks=2), "one part of several"),
        (a_zip_of([Packed(b"a", b"x", disk=1)]), "one part of several"),
        (a_zip_of([Packed(b"a", b"x", 1)]), "'a' .* shrink"),
        (a_zip_of([Packed(b"a", b"x", 9)]), "Deflate64"),
        (a_zip({"a.p12": b"x"}, zipfile.ZIP_BZIP2), "bzip2"),
        (a_zip({"a.p12": b"x"}, zipfile.ZIP_LZMA), "LZMA"),
        (a_zip_of([Packed(b"a", b"x", 77)]), "number 77"),
        (a_zip_of([Packed(b"a", b"x", flags=0x20)]), "patch"),
    ],
)
def test_a_zip_of_an_unusual_kind_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(UnsupportedZip, match=says):
        opened(content)


@pytest.mark.parametrize("flags", [ENCRYPTED, 0x41, 0x2000])
def test_an_encrypted_entry_is_refused_and_named(flags: int) -> None:
    with pytest.raises(EncryptedZip, match=r"'b\.p12'"):
        opened(a_zip_of([ONE, Packed(b"b.p12", b"x" * 20, flags=flags)]))


def test_an_entry_encrypted_with_aes_is_called_encrypted_not_unsupported() -> None:
    with pytest.raises(EncryptedZip):
        opened(a_zip_of([Packed(b"b.p12", b"x" * 20, 99, ENCRYPTED)]))


# --- limits -----------------------------------------------------------------------------------------


def test_the_number_of_entries_is_limited() -> None:
    entries = [Packed(b"%d" % number) for number in range(4)]

    opened(a_zip_of(entries), Limits(entries=4))
    with pytest.raises(TooManyEntries, match="more than 3"):
        opened(a_zip_of(entries), Limits(entries=3))


def test_a_count_over_the_limit_is_refused_before_the_directory_is_read() -> None:
    class Watched(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            return super().read(size)

    contents, directory = contents_and_directory([Packed(b"x" * 60_000) for _ in range(200)])
    file = Watched(contents + directory + zip64_end(200_000, len(directory), len(contents)))
    with pytest.raises(TooManyEntries):
        Archive(file, Limits())

    assert file.reads <= 4


def test_entries_beyond_the_limit_are_found_though_the_count_ran_over() -> None:
    entries = [Packed(b"%d" % number) for number in range(0x10000 + 3)]
    with pytest.raises(TooManyEntries):
        opened(a_zip_of(entries, count=3), Limits(entries=100))


def test_the_size_of_the_zip_is_limited() -> None:
    opened(GOOD, Limits(bundle_bytes=len(GOOD)))
    with pytest.raises(BundleTooLarge, match=str(len(GOOD))):
        opened(GOOD, Limits(bundle_bytes=len(GOOD) - 1))


def test_what_the_entries_unpack_to_together_is_limited() -> None:
    entries = [Packed(b"%d" % number, bytes(1000), DEFLATED) for number in range(10)]

    opened(a_zip_of(entries), Limits(unpacked_bytes=10_000))
    with pytest.raises(BundleTooLarge, match="9999"):
        opened(a_zip_of(entries), Limits(unpacked_bytes=9_999))


def test_long_names_are_not_kept_in_memory() -> None:
    content = a_zip_of([Packed(b"x" * 60_000 + b"%d" % number) for number in range(200)])
    file = io.BytesIO(content)
    tracemalloc.start()
    try:
        assert sum(len(entry.name) for entry in Archive(file, Limits()).entries()) == 200 * 256
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


# --- contents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (Packed(b"a", b"content", crc=1), "CRC"),
        (Packed(b"a", b"content", DEFLATED, crc=1), "CRC"),
        (Packed(b"a", b"content", DEFLATED, packed=b"\xff" * 20), "broken"),
        (Packed(b"a", MUCH, DEFLATED, packed=deflate(MUCH)[:-4]), "cut off"),
        (Packed(b"a", b"content", DEFLATED, packed=b""), "cut off"),
        (Packed(b"a", MUCH, DEFLATED, packed=deflate(MUCH) + b"more"), "too early"),
        (Packed(b"a", MUCH, DEFLATED, packed=deflate(MUCH) + bytes(200_000)), "too early"),
        (Packed(b"a", MUCH, DEFLATED, size=len(MUCH) - 1), "not as long"),
        (Packed(b"a", MUCH, DEFLATED, size=len(MUCH) + 1), "not as long"),
        (Packed(b"a", MUCH, DEFLATED, size=0), "not as long"),
    ],
)
def test_a_damaged_content_is_told_and_the_others_still_read(entry: Packed, says: str) -> None:
    archive = opened(a_zip_of([ONE, entry, TWO]))
    first, damaged, second = archive.entries()

    with pytest.raises(UnreadableEntry, match=says):
        archive.read(damaged)
    assert archive.read(second) == TWO.content
    assert archive.read(first) == ONE.content


def test_a_bomb_that_lies_about_its_size_is_not_unpacked() -> None:
    archive = opened(a_zip_of([Packed(b"a", size=10, method=DEFLATED, packed=_bomb(64 * 1024**2))]))
    (entry,) = archive.entries()
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableEntry, match="not as long"):
            archive.read(entry)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b"".join(packer.compress(bytes(1024**2)) for _ in range(size // 1024**2))
    return packed + packer.flush()


def test_a_content_of_very_many_empty_blocks_is_read_in_pieces() -> None:
    empty_block = b"\0\0\0\xff\xff"
    packed = empty_block * 1_000_000 + b"\1\1\0\xfe\xffx"
    archive = opened(a_zip_of([Packed(b"a", b"x", DEFLATED, packed=packed)]))
    (entry,) = archive.entries()
    tracemalloc.start()
    try:
        assert archive.read(entry) == b"x"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


def test_a_file_that_shrinks_while_it_is_read_gives_no_content() -> None:
    file = io.BytesIO(a_zip_of([Packed(b"a", bytes(200_000))]))
    archive = Archive(file, Limits())
    (entry,) = archive.entries()
    file.truncate(100_000)

    with pytest.raises(UnreadableEntry):
        archive.read(entry)


# --- properties -------------------------------------------------------------------------------------


def _is_read_or_refused(content: bytes) -> None:
    try:
        archive = opened(content, Limits(unpacked_bytes=1_000_000))
        entries = list(archive.entries())
    except RequestRefusal:
        return
    for entry in entries:
        try:
            assert len(archive.read(entry)) == entry.size
        except UnreadableEntry:
            continue


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(RequestRefusal):
        opened(content)


SEEDS = [
    GOOD,
    a_zip_of([ONE, TWO], comment=b"a comment"),
    a_zip_of([streamed(b"a", b"x" * 50), streamed(b"b", b"y")]),
    a_zip_of([zip64_entry(b"a", b"content")], zip64=True),
    quoted_overlap_bomb(NAMES[:3], b"0" * 1000),
]


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6))
def test_a_zip_with_bytes_changed_is_read_or_refused(seed: bytes, changes: list[tuple[int, int]]) -> None:
    content = bytearray(seed)
    for at, value in changes:
        content[at % len(content)] = value

    _is_read_or_refused(bytes(content))


@given(st.sampled_from(SEEDS), st.integers(0, 2000), st.integers(0, 200), st.binary(max_size=40))
def test_a_zip_with_a_piece_replaced_is_read_or_refused(seed: bytes, at: int, cut: int, put: bytes) -> None:
    at %= len(seed)

    _is_read_or_refused(seed[:at] + put + seed[at + cut :])


FIELD = st.one_of(
    st.none(), st.integers(0, 200), st.sampled_from([0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
)
ENTRY = st.builds(
    Packed,
    name=st.binary(max_size=20),
    content=st.binary(max_size=60),
    method=st.sampled_from([0, 8]),
    flags=st.sampled_from([0, UTF8, 8]),
    size=FIELD,
    compressed_size=FIELD,
    header_offset=FIELD,
    extra=st.one_of(st.just(b""), st.binary(max_size=30), st.just(struct.pack("<2H3Q", 1, 24, 5, 5, 0))),
)


@given(st.lists(ENTRY, max_size=5), st.booleans())
def test_a_zip_of_lying_entries_is_read_or_refused(entries: list[Packed], zip64: bool) -> None:
    _is_read_or_refused(a_zip_of(entries, zip64=zip64))


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=30)


@given(
    st.dictionaries(NAME, st.binary(max_size=300), max_size=6), st.sampled_from([0, 8]), st.binary(max_size=9)
)
def test_whatever_zipfile_writes_reads_back_the_same(
    entries: dict[str, bytes], method: int, comment: bytes
) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.comment = comment
        for name, content in entries.items():
            archive.writestr(name, content)

    assert everything_in(target.getvalue()) == entries
