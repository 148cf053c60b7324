"""Names of zip entries: which encoding they have, and which backslashes separate folders."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.zip.names import decode_name

UTF8 = 0x800


def unicode_path(raw: bytes, name: str, *, version: int = 1, crc: int | None = None) -> bytes:
    """The extra field 0x7075, as WinRAR writes it."""
    content = struct.pack("<BI", version, zlib.crc32(raw) if crc is None else crc) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"A12BC3D4EFGH.p12", "A12BC3D4EFGH.p12"),
        ("Büro/A12BC3D4EFGH.p12".encode(), "Büro/A12BC3D4EFGH.p12"),
        ("Büro/A12BC3D4EFGH.p12".encode("cp437"), "Büro/A12BC3D4EFGH.p12"),
        (b"devices\\A12BC3D4EFGH.p12", "devices/A12BC3D4EFGH.p12"),
        (b"devices\\", "devices/"),
        (b"a\\b/c\\d", "a/b/c/d"),
        (b"C:\\certs\\A12.p12", "C:/certs/A12.p12"),
        (b"\\\\server\\A12.p12", "//server/A12.p12"),
        (b"..\\A12.p12", "../A12.p12"),
        ("Geräte\\A12.p12".encode(), "Geräte/A12.p12"),
        ("Geräte\\A12.p12".encode("cp437"), "Geräte/A12.p12"),
        ("café\\A12BC3D4EFGH.p12".encode("cp437"), "café/A12BC3D4EFGH.p12"),
        ("éé\\A12BC3D4EFGH.p12".encode("cp437"), "éé/A12BC3D4EFGH.p12"),
    ],
)
def test_a_name_is_decoded_with_slashes_between_folders(raw: bytes, name: str) -> None:
    assert decode_name(raw, 0, b"") == name


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("表", "cp932"),
        ("ソ", "cp932"),
        ("ソフト表", "cp932"),
        ("予算表ソ", "cp932"),
        ("功", "big5"),
        ("許功蓋", "big5"),
        ("证书", "gbk"),
        ("俓", "gbk"),
    ],
)
@pytest.mark.parametrize("separator", [b"/", b"\\"])
def test_a_second_octet_of_0x5c_separates_nothing(text: str, encoding: str, separator: bytes) -> None:
    folder, _, file = decode_name(text.encode(encoding) + separator + b"A12BC3D4EFGH.p12", 0, b"").partition(
        "/"
    )

    assert file == "A12BC3D4EFGH.p12"
    assert folder == text.encode(encoding).decode("cp437")


def test_bit_11_means_utf_8_and_what_is_none_is_replaced() -> None:
    assert decode_name("证书\\a".encode(), UTF8, b"") == "证书/a"
    assert decode_name(b"\xff\\a", UTF8, b"") == "\N{REPLACEMENT CHARACTER}/a"


RAW = "证书/密码.txt".encode("gbk")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (RAW, "证书/密码.txt"),
        (b"??/??.txt", "证书/密码.txt"),
        (b"__/__.txt", "证书\\密码.txt"),
    ],
)
def test_the_unicode_path_field_names_the_entry(raw: bytes, name: str) -> None:
    other = struct.pack("<HH", 0x5455, 1) + b"x"

    assert decode_name(raw, 0, other + unicode_path(raw, name)) == "证书/密码.txt"


@pytest.mark.parametrize(
    "extra",
    [
        unicode_path(RAW, "x", crc=0),
        unicode_path(RAW, "x", version=2),
        unicode_path(RAW, ""),
        unicode_path(RAW, "x") + unicode_path(RAW, "y"),
        unicode_path(RAW, "x")[:-1] + b"\xff",
        unicode_path(RAW, "x")[:5],
        b"up",
        b"up\xff\xff",
    ],
)
def test_a_unicode_path_field_that_does_not_belong_to_the_name_is_not_used(extra: bytes) -> None:
    assert decode_name(RAW, 0, extra) == RAW.decode("cp437")


def test_a_name_that_ascii_holds_is_the_same_to_every_reader() -> None:
    raw = b"A12BC3D4EFGH.p12"

    assert decode_name(raw, 0, unicode_path(raw, "B98ZY7X6WVUT.p12")) == "A12BC3D4EFGH.p12"


@given(st.binary(max_size=600), st.sampled_from([0, UTF8]), st.binary(max_size=60))
def test_any_bytes_are_a_name(raw: bytes, flags: int, extra: bytes) -> None:
    assert len(decode_name(raw, flags, extra)) <= 256


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_utf_8_is_read_as_it_is(name: str) -> None:
    assert decode_name(name.encode(), UTF8, b"") == name.replace("\\", "/")
