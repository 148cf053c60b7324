"""The list of a bulk deletion: a text file, a zip of one, or a zip of PKCS#12 names."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import (
    AmbiguousCredentialsFile,
    CredentialsFileTooLarge,
    EmptyList,
    MalformedZip,
    RequestRefusal,
    TooManyEntries,
    UndecodableCredentialsFile,
)
from bulkcert.formats.bundle.entry_names import shown
from bulkcert.formats.bundle.identity_list import ListedIdentity, read_identity_list
from bulkcert.values.limits import Limits
from tests.builders import a_zip
from tests.formats.zip.hostile_zips import SYMLINK, Packed, a_zip_of, end_record

NO_LIMITS_GIVEN = Limits()


def listed(content: bytes, limits: Limits = NO_LIMITS_GIVEN) -> list[tuple[int, str]]:
    return [(each.line, shown(each.name)) for each in read_identity_list(io.BytesIO(content), limits)]


# --- a text file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("A12BC3D4EFGH", "A12BC3D4EFGH"),
        ("a12bc3d4efgh", "a12bc3d4efgh"),
        ("  A12BC3D4EFGH\t", "A12BC3D4EFGH"),
        ("A12BC3D4EFGH.p12", "A12BC3D4EFGH"),
        ("A12BC3D4EFGH.PFX", "A12BC3D4EFGH"),
        ("A12BC3D4EFGH.p12=password1!", "A12BC3D4EFGH"),
        ("A12BC3D4EFGH = password1!", "A12BC3D4EFGH"),
        ("A12BC3D4EFGH=", "A12BC3D4EFGH"),
        ("49-015420-323751-8", "49-015420-323751-8"),
        ("PK12BC3D4EFGH", "PK12BC3D4EFGH"),
        ("=password1!", ""),
        ("not an identity", "not an identity"),
        ('="A12BC3D4EFGH"', '="A12BC3D4EFGH"'),
        ("A\0\x1b\u202e", "A" + "\N{REPLACEMENT CHARACTER}" * 3),
    ],
)
def test_a_line_names_a_device_and_what_follows_it_is_dropped(line: str, written: str) -> None:
    assert listed(line.encode()) == [(1, written)]
    assert listed(f"\n{line}\r\nB34".encode()) == [(2, written), (3, "B34")]


def test_blank_lines_are_skipped_and_repeated_ones_are_kept() -> None:
    assert listed(b"\n A1 \n\t\r\nA2\nA1") == [(2, "A1"), (4, "A2"), (5, "A1")]


def test_a_long_line_is_cut_so_far_that_it_stays_no_identity() -> None:
    ((_, written),) = listed(b"A" * 10_000)

    assert 64 < len(written) <= 255


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encodings_of_a_credentials_file_are_read(codec: str) -> None:
    assert listed("A1\r\nÄ2\r\n".encode(codec)) == [(1, "A1"), (2, "Ä2")]


def test_the_file_is_read_from_its_beginning() -> None:
    file = io.BytesIO(b"A1\nA2")
    file.seek(3)

    assert len(read_identity_list(file, Limits())) == 2


@pytest.mark.parametrize("content", [b"", b"\n\r\n \t\n", b"\xef\xbb\xbf"])
def test_a_text_file_without_a_line_is_refused(content: bytes) -> None:
    with pytest.raises(EmptyList):
        listed(content)


def test_what_is_neither_text_nor_zip_is_refused() -> None:
    with pytest.raises(UndecodableCredentialsFile, match="Line 2"):
        listed(b"A1\n\xff\n")
    with pytest.raises(UndecodableCredentialsFile):
        listed(b"\x30\x82\x0a\x04\xff")


def test_size_and_number_of_lines_are_limited() -> None:
    assert len(listed(b"A1\nA2\nA3\n", Limits(entries=3, credentials_file_bytes=9))) == 3
    with pytest.raises(CredentialsFileTooLarge, match="9 bytes"):
        listed(b"A1\nA2\nA3\n\n", Limits(credentials_file_bytes=9))
    with pytest.raises(TooManyEntries):
        listed(b"A1\nA2\nA3\n", Limits(entries=2))


# --- a zip ------------------------------------------------------------------------------------------

TEXT = b"A1.p12=password\n\nA2\n"
LINES = [(1, "A1"), (3, "A2")]


@pytest.mark.parametrize(
    "entries",
    [
        {"list.txt": TEXT},
        {"folder/": b"", "folder/LIST.TXT": TEXT},
        {"list.txt": TEXT, "__MACOSX/._list.txt": b"x", ".DS_Store": b"x", "read.me": b"x"},
        {"list.txt": TEXT, "B1.p12": b"x", "B2.p12": b"x"},
        {"list.txt": TEXT, "A1.p12": b"x", "A2.p12": b"x", "inner.zip": b"x"},
    ],
)
def test_a_zip_with_one_text_file_means_its_lines(entries: dict[str, bytes]) -> None:
    assert listed(a_zip(entries)) == LINES


def test_a_zip_of_pkcs12_files_means_their_names() -> None:
    entries = [
        Packed(b"phones/"),
        Packed(b"phones/A1.p12", b"never read", crc=1),
        Packed(b"__MACOSX/phones/._A1.p12", b"x"),
        Packed(b"A2.PFX", b"x"),
        Packed(b"ca.cer", b"x"),
        Packed(b"a/b/../A3.p12", b"x"),
        Packed(b"A4\x1b.p12", b"x"),
    ]

    assert listed(a_zip_of(entries)) == [(1, "A1"), (2, "A2"), (3, "A3"), (4, "A4\N{REPLACEMENT CHARACTER}")]


def test_a_zip_with_two_text_files_is_refused() -> None:
    with pytest.raises(AmbiguousCredentialsFile, match=r"'a\.txt', 'b\.txt'"):
        listed(a_zip({"a.txt": TEXT, "b.txt": TEXT}))


@pytest.mark.parametrize(
    "content",
    [
        end_record(0, 0, 0),
        a_zip({"read.me": b"x"}),
        a_zip({"__MACOSX/A1.p12": b"x", "._list.txt": b"x"}),
        a_zip({"list.txt": b"\n"}),
        a_zip({"list.txt": b"\n", "A1.p12": b"x"}),
        a_zip_of([Packed(b"list.txt", b"/etc/passwd", mode=SYMLINK)]),
    ],
)
def test_a_zip_that_names_no_device_is_refused(content: bytes) -> None:
    with pytest.raises(EmptyList):
        listed(content)


def test_the_structure_of_the_zip_is_checked_as_that_of_a_bundle() -> None:
    good = a_zip({"list.txt": TEXT})
    for content in (good[:-1], good + b"x", a_zip_of([Packed(b"list.txt", TEXT, crc=1)])):
        with pytest.raises(MalformedZip):
            listed(content)


def test_a_zip_keeps_the_limits_of_a_list() -> None:
    with pytest.raises(CredentialsFileTooLarge):
        listed(a_zip({"list.txt": TEXT}), Limits(credentials_file_bytes=len(TEXT) - 1))
    with pytest.raises(TooManyEntries):
        listed(a_zip({"list.txt": b"A1\nA2\n"}), Limits(entries=1))


# --- properties -------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_refused(content: bytes) -> None:
    try:
        each = read_identity_list(io.BytesIO(content), Limits())
    except RequestRefusal:
        return

    assert each
    assert all(isinstance(one, ListedIdentity) and len(one.name) <= 256 for one in each)


@given(st.lists(st.text("ABCDEFGH0123456789", min_size=1, max_size=20), min_size=1, max_size=9))
def test_every_form_of_a_list_says_the_same(names: list[str]) -> None:
    text = "\n".join(names).encode()
    of_names = a_zip_of([Packed(f"{name}.p12".encode()) for name in names])

    assert listed(text) == listed(a_zip({"list.txt": text})) == listed(of_names)
    assert [written for _, written in listed(text)] == names
