"""Bundles: what is an item, what fails alone, what refuses the whole, and that nothing is lost in between."""

import base64
import io
import re
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import (
    AmbiguousCredentialsFile,
    CredentialsFileTooLarge,
    EmptyBundle,
    InvalidIdentity,
    ItemRefusal,
    MalformedZip,
    NoCredentialsFile,
    NotAZip,
    RequestRefusal,
    TooManyEntries,
    UndecodableCredentialsFile,
)
from bulkcert.errors.items import ITEM_REFUSALS
from bulkcert.formats.bundle.bundle import Bundle, BundleItem, read_bundle
from bulkcert.formats.bundle.credentials import parse_credentials
from bulkcert.formats.bundle.items import Join
from bulkcert.formats.zip.archive import Archive
from bulkcert.values.identities import IdentityType
from bulkcert.values.limits import Limits
from tests.builders import a_zip
from tests.formats.zip.hostile_zips import (
    DEFLATED,
    SYMLINK,
    UTF8,
    Packed,
    a_zip_of,
    deflate,
    end_record,
    quoted_overlap_bomb,
    streamed,
)

SERIAL_NUMBER = "A12BC3D4EFGH"
OTHER = "B98ZY7X6WVUT"
LINE = b"A12BC3D4EFGH=pw"
NO_LIMITS_GIVEN = Limits()
ITEM_CODES = {refusal.code for refusal in ITEM_REFUSALS}


def bundle_of(
    content: bytes,
    credentials_file: str | None = None,
    *,
    identity_type: IdentityType = IdentityType.SERIAL_NUMBER,
    limits: Limits = NO_LIMITS_GIVEN,
) -> Bundle:
    return read_bundle(io.BytesIO(content), identity_type, credentials_file, limits)


def a_bundle_with(files: Mapping[str, bytes], lines: str = "", **options: object) -> Bundle:
    """A bundle of these entries and a credentials file of these lines."""
    return bundle_of(a_zip({**files, "credential.txt": lines.encode()}), **options)  # type: ignore[arg-type]


def report(bundle: Bundle) -> list[tuple[str | None, str | None, str]]:
    """File, identity and code (or password) of each item."""
    return [
        (item.file, item.identity.value if item.identity else item.written, _end_of(item))
        for item in bundle.items
    ]


def _end_of(item: BundleItem) -> str:
    if item.refusal is not None:
        assert item.password is None
        return item.refusal.code
    assert item.password is not None
    return f"password {item.password.reveal().decode()!r}"


def detail_of(bundle: Bundle, position: int = 0) -> str:
    refusal = bundle.items[position].refusal
    assert refusal is not None
    return refusal.detail


# --- what is an item --------------------------------------------------------------------------------


def test_an_entry_and_its_line_are_one_item() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"content"}, "A12BC3D4EFGH.p12=password1!\n")

    assert report(bundle) == [("A12BC3D4EFGH.p12", SERIAL_NUMBER, "password 'password1!'")]
    assert bundle.ignored == 0
    assert bundle.read(bundle.items[0]) == b"content"


@pytest.mark.parametrize(
    ("identity_type", "file", "line", "identity"),
    [
        (IdentityType.SERIAL_NUMBER, "a12bc3d4efgh.p12", "A12BC3D4EFGH.pfx=pw", SERIAL_NUMBER),
        (IdentityType.SERIAL_NUMBER, "A12BC3D4EFGH.P12", "a12bc3d4efgh=pw", SERIAL_NUMBER),
        (IdentityType.SERIAL_NUMBER, "phones/A12BC3D4EFGH.PFX", " A12BC3D4EFGH =pw", SERIAL_NUMBER),
        (IdentityType.IMEI, "490154203237518.p12", "49-015420-323751-8.p12=pw", "490154203237518"),
        (IdentityType.IMEI, "49 015420 323751 8.p12", "490154203237518=pw", "490154203237518"),
        (IdentityType.MEID, "a10000009296f1.p12", "A1-000000-9296F1=pw", "A10000009296F1"),
    ],
)
def test_entry_and_line_meet_by_the_device_however_it_is_written(
    identity_type: IdentityType, file: str, line: str, identity: str
) -> None:
    bundle = a_bundle_with({file: b"x"}, line, identity_type=identity_type)

    assert report(bundle) == [(file, identity, "password 'pw'")]


def test_an_empty_password_is_a_password() -> None:
    assert report(a_bundle_with({"A12BC3D4EFGH.p12": b"x"}, "A12BC3D4EFGH="))[0][2] == "password ''"


def test_entries_come_in_the_order_of_the_zip_then_lines_without_one_in_theirs() -> None:
    files = {f"{name}0000000.p12": b"x" for name in "DBAC"}
    lines = "".join(f"{name}0000000=pw\n" for name in "ZCYAXBD")
    bundle = a_bundle_with(files, lines)

    assert [item.position for item in bundle.items] == list(range(7))
    assert [item.identity.value[0] for item in bundle.items if item.identity] == list("DBACZYX")
    assert [code for _, _, code in report(bundle)[4:]] == ["no_pkcs12"] * 3
    assert "Line 1 " in detail_of(bundle, 4)
    assert "Line 3 " in detail_of(bundle, 5)


def test_an_entry_without_a_line_fails_alone() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x", f"{OTHER}.p12": b"x"}, f"{OTHER}=pw")

    assert report(bundle) == [
        ("A12BC3D4EFGH.p12", SERIAL_NUMBER, "no_credential"),
        (f"{OTHER}.p12", OTHER, "password 'pw'"),
    ]


def test_junk_and_foreign_entries_are_counted_and_folders_are_not() -> None:
    files = {
        "phones/": b"",
        "phones/A12BC3D4EFGH.p12": b"x",
        "phones/.DS_Store": b"junk",
        "__MACOSX/": b"",
        "__MACOSX/phones/._A12BC3D4EFGH.p12": b"junk",
        "__MACOSX/phones/._credential.txt": b"junk",
        "Thumbs.db": b"junk",
        "README.md": b"foreign",
        "phones/ca.cer": b"foreign",
    }
    bundle = a_bundle_with(files, "A12BC3D4EFGH=pw")

    assert [code for _, _, code in report(bundle)] == ["password 'pw'"]
    assert bundle.ignored == 6


def test_a_bundle_as_finder_makes_it_is_read() -> None:
    entries = [
        Packed(b"My phones/", mode=0o040755, flags=0),
        streamed(b"My phones/A12BC3D4EFGH.p12", b"content"),
        Packed(b"__MACOSX/", mode=0o040755, flags=0),
        streamed(b"__MACOSX/My phones/._A12BC3D4EFGH.p12", b"\0\5\x16\7"),
        streamed(b"My phones/.DS_Store", b"\0\0\0\1Bud1"),
        streamed("My phones/Passwo\u0308rter.txt".encode(), b"A12BC3D4EFGH.p12=pw\n"),
    ]
    bundle = bundle_of(a_zip_of(entries), "passwörter.TXT")

    assert report(bundle) == [("My phones/A12BC3D4EFGH.p12", SERIAL_NUMBER, "password 'pw'")]
    assert bundle.ignored == 2
    assert bundle.read(bundle.items[0]) == b"content"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zip") is None, reason="needs zip")
def test_a_bundle_as_the_zip_command_makes_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "phones").mkdir()
    (tmp_path / "phones/A12BC3D4EFGH.p12").write_bytes(b"content")
    (tmp_path / "phones/credential.txt").write_bytes(b"A12BC3D4EFGH=pw\n")
    subprocess.run(["zip", "-q", "-r", "made.zip", "phones"], cwd=tmp_path, check=True)
    bundle = bundle_of((tmp_path / "made.zip").read_bytes())

    assert report(bundle) == [("phones/A12BC3D4EFGH.p12", SERIAL_NUMBER, "password 'pw'")]
    assert bundle.ignored == 0


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file", "says"),
    [
        (b"../A12BC3D4EFGH.p12", "../A12BC3D4EFGH.p12", "leads out"),
        (b"/A12BC3D4EFGH.p12", "/A12BC3D4EFGH.p12", "absolute"),
        (b"C:\\A12BC3D4EFGH.p12", "C:/A12BC3D4EFGH.p12", "absolute"),
        (b"\\\\server\\A12BC3D4EFGH.p12", "//server/A12BC3D4EFGH.p12", "absolute"),
        (b"C:/A12BC3D4EFGH.p12", "C:/A12BC3D4EFGH.p12", "absolute"),
        (b"a/b/A12BC3D4EFGH.p12", "a/b/A12BC3D4EFGH.p12", "deeper than one folder"),
        (b"A12BC3D4EFGH\n.p12", "A12BC3D4EFGH\N{REPLACEMENT CHARACTER}.p12", "line break"),
        (b"A12BC3D4\0EFGH.p12", "A12BC3D4\N{REPLACEMENT CHARACTER}EFGH.p12", "NUL"),
        (b"A12BC3D4EFGH.p12\0.txt", "A12BC3D4EFGH.p12\N{REPLACEMENT CHARACTER}.txt", "NUL"),
        ("\u202eA12BC3D4EFGH.p12".encode(), "\N{REPLACEMENT CHARACTER}A12BC3D4EFGH.p12", "invisible"),
        (b"x" * 300 + b".p12", "x" * 79 + "…" + "x" * 36 + ".p12", "longer than 255"),
        (b"<img src=x onerror=alert(1)>.p12", "<img src=x onerror=alert(1)>.p12", "8 to 20 letters"),
        (b"=cmd|' calc'!A1.p12", "=cmd|' calc'!A1.p12", "8 to 20 letters"),
        (b"short.p12", "short.p12", "8 to 20 letters"),
        (b".p12", ".p12", "8 to 20 letters"),
        (b"A12BC3D4EFG\x81.p12", "A12BC3D4EFGü.p12", "8 to 20 letters"),
    ],
)
def test_a_bad_name_fails_alone_and_is_shown_safely(name: bytes, file: str, says: str) -> None:
    flags = UTF8 if b"\x81" not in name else 0
    entries = [Packed(name, b"x", flags=flags), Packed(b"B98ZY7X6WVUT.p12", b"x")]
    bundle = bundle_of(a_zip_of([*entries, Packed(b"c.txt", b"B98ZY7X6WVUT=pw")]))

    assert [(item.file, _end_of(item)) for item in bundle.items] == [
        (file, "invalid_identity"),
        ("B98ZY7X6WVUT.p12", "password 'pw'"),
    ]
    assert says in detail_of(bundle)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nonsense!.p12", "nonsense!=pw"),
        ("nonsense!.p12", "nonsense!.P12=pw"),
        ("../A12BC3D4EFGH.p12", "A12BC3D4EFGH.p12=pw"),
        ("a/b/A12BC3D4EFGH.p12", "A12BC3D4EFGH=pw"),
        ("x" * 100 + ".p12", "x" * 100 + ".p12=pw"),
    ],
)
def test_an_invalid_entry_and_its_line_are_one_item(name: str, line: str) -> None:
    bundle = a_bundle_with({name: b"x", f"{OTHER}.p12": b"x"}, f"{line}\n{OTHER}=pw")

    assert [code for _, _, code in report(bundle)] == ["invalid_identity", "password 'pw'"]


def test_the_identity_as_it_was_written_stands_in_the_item() -> None:
    bundle = a_bundle_with({"a12bc3d4efgh.p12": b"x", "no\x1b!.p12": b"x"}, "b98zy7x6wvut=pw\nno?=pw")

    assert [(item.written, item.identity is not None) for item in bundle.items] == [
        ("a12bc3d4efgh", True),
        ("no\N{REPLACEMENT CHARACTER}!", False),
        ("b98zy7x6wvut", True),
        ("no?", False),
    ]


# --- lines ------------------------------------------------------------------------------------------


def test_a_line_of_no_identity_fails_alone_and_names_itself() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x"}, "A12BC3D4EFGH=pw\n\nserial=password\n=pw\n")

    assert report(bundle)[1:] == [(None, "serial", "invalid_identity"), (None, "", "invalid_identity")]
    assert "Line 3 " in detail_of(bundle, 1)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("A12BC3D4EFGH.p12 hunter2", "Line 1 of the credentials file has no '='."),
        (
            "A12BC3D4EFGH.p12|hunter2\x01",
            "Line 1 of the credentials file has no '='. It holds the invisible character U+0001; type it anew.",
        ),
        ("A12BC3D4EFGH.p12=hun\0ter2", "Line 1 of the credentials file holds a NUL character."),
        ("A12BC3D4EFGH=" + "hunter2" * 999, "Line 1 of the credentials file is longer than 4096 characters."),
    ],
)
def test_an_unusable_line_fails_its_entry(line: str, says: str) -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x", f"{OTHER}.p12": b"x"}, f"{line}\n{OTHER}=pw")

    assert [code for _, _, code in report(bundle)] == ["invalid_password", "password 'pw'"]
    assert detail_of(bundle) == says
    assert "hunter2" not in repr(bundle.items)


def test_a_line_without_equals_sign_and_entry_shows_nothing_of_itself() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x"}, "A12BC3D4EFGH=pw\nhunter2hunter2\n# comment\n")

    assert report(bundle)[1:] == [(None, None, "invalid_password")] * 2
    assert "Line 2 " in detail_of(bundle, 1)
    assert "hunter2" not in repr(bundle.items)


# --- duplicates -------------------------------------------------------------------------------------


def _all_duplicate(bundle: Bundle, number: int, *names: str) -> None:
    assert [code for _, _, code in report(bundle)] == ["duplicate_identity"] * number
    for position in range(number):
        assert all(name in detail_of(bundle, position) for name in names)


def test_two_entries_of_one_device_both_fail_and_name_each_other() -> None:
    files = {"a12bc3d4efgh.p12": b"x", "phones/A12BC3D4EFGH.pfx": b"y"}

    _all_duplicate(
        a_bundle_with(files, "A12BC3D4EFGH=pw"), 2, "'a12bc3d4efgh.p12'", "'phones/A12BC3D4EFGH.pfx'"
    )


def test_two_entries_of_one_name_both_fail() -> None:
    entries = [Packed(b"A12BC3D4EFGH.p12", b"1"), Packed(b"A12BC3D4EFGH.p12", b"2")]

    _all_duplicate(bundle_of(a_zip_of([*entries, Packed(b"c.txt", b"A12BC3D4EFGH=pw")])), 2)


def test_two_lines_of_one_device_fail_its_entry_and_are_named() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x"}, "A12BC3D4EFGH=a\n\nA12BC3D4EFGH.p12=a\n")

    _all_duplicate(bundle, 1, "line 1", "line 3")


def test_two_lines_of_one_device_without_an_entry_both_fail() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x"}, f"{OTHER}=a\nA12BC3D4EFGH=pw\n{OTHER}=b\n")

    assert [code for _, _, code in report(bundle)] == ["password 'pw'"] + ["duplicate_identity"] * 2
    assert "line 1" in detail_of(bundle, 1)
    assert "line 3" in detail_of(bundle, 1)


def test_a_device_that_stands_in_many_places_is_told_briefly() -> None:
    files = {f"{number}/A12BC3D4EFGH.p12": b"x" for number in range(50)}
    bundle = a_bundle_with(files, "A12BC3D4EFGH=a\n" * 50)

    _all_duplicate(bundle, 50, "'0/A12BC3D4EFGH.p12'", "line 1 ", "and more")
    assert len(detail_of(bundle)) < 300


def test_a_badly_named_copy_does_not_leave_the_other_to_be_taken_for_it() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x", "a/b/A12BC3D4EFGH.p12": b"y"}, "A12BC3D4EFGH=pw")

    assert [code for _, _, code in report(bundle)] == ["duplicate_identity", "invalid_identity"]


# --- entries that are not opened --------------------------------------------------------------------


def _two_entries(bad: Packed, limits: Limits = NO_LIMITS_GIVEN) -> Bundle:
    good = Packed(b"B98ZY7X6WVUT.p12", b"good")
    lines = b"A12BC3D4EFGH=pw\nB98ZY7X6WVUT=pw\n"
    return bundle_of(a_zip_of([bad, good, Packed(b"c.txt", lines)]), limits=limits)


@pytest.mark.parametrize(
    ("bad", "code", "says"),
    [
        (Packed(b"A12BC3D4EFGH.p12", b"/etc/passwd", mode=SYMLINK), "malformed_pkcs12", "link"),
        (Packed(b"A12BC3D4EFGH.p12", b"x", mode=0o010644), "malformed_pkcs12", "not a file"),
        (Packed(b"A12BC3D4EFGH.p12", b""), "not_pkcs12", "empty"),
        (
            Packed(b"A12BC3D4EFGH.p12", bytes(65_537), DEFLATED),
            "too_large",
            "65537 bytes; the limit is 65536",
        ),
        (Packed(b"A12BC3D4EFGH.p12", bytes(65_537)), "too_large", "65537 bytes; the limit is 65536"),
    ],
)
def test_an_entry_that_cannot_be_a_pkcs12_fails_alone(bad: Packed, code: str, says: str) -> None:
    bundle = _two_entries(bad)

    assert [end for _, _, end in report(bundle)] == [code, "password 'pw'"]
    assert says in detail_of(bundle)
    with pytest.raises(ItemRefusal, match=says):
        bundle.read(bundle.items[0])
    assert bundle.read(bundle.items[1]) == b"good"


def test_the_largest_pkcs12_is_read_whole() -> None:
    bundle = _two_entries(Packed(b"A12BC3D4EFGH.p12", bytes(65_536), DEFLATED))

    assert bundle.read(bundle.items[0]) == bytes(65_536)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Packed(b"A12BC3D4EFGH.p12", b"content", crc=1), "CRC"),
        (Packed(b"A12BC3D4EFGH.p12", b"content", DEFLATED, packed=b"\xff" * 9), "broken"),
        (Packed(b"A12BC3D4EFGH.p12", bytes(9), DEFLATED, packed=deflate(bytes(10**6))), "not as long"),
    ],
)
def test_an_entry_with_a_bad_content_fails_alone_when_it_is_read(bad: Packed, says: str) -> None:
    bundle = _two_entries(bad)

    with pytest.raises(ItemRefusal, match=says) as refused:
        bundle.read(bundle.items[0])
    assert refused.value.code == "malformed_pkcs12"
    assert bundle.read(bundle.items[1]) == b"good"


def test_a_zip_inside_the_zip_is_an_item_that_says_so() -> None:
    bundle = a_bundle_with({"more.zip": b"x", "A12BC3D4EFGH.p12": b"x"}, "A12BC3D4EFGH=pw")

    assert report(bundle)[0] == ("more.zip", "more.zip", "not_pkcs12")
    assert "This is a zip" in detail_of(bundle)
    assert bundle.ignored == 0
    assert bundle.read(bundle.items[1]) == b"x"


def test_what_is_junk_is_not_looked_into() -> None:
    files = {"__MACOSX/A12BC3D4EFGH.p12": b"x", "__MACOSX/x.zip": b"x", "A12BC3D4EFGH.p12": b"x"}

    assert len(a_bundle_with(files, "A12BC3D4EFGH=pw").items) == 1


def test_reading_does_not_depend_on_the_order() -> None:
    files = {f"{letter}0000000.p12": letter.encode() * 70_000 for letter in "ABC"}
    limits = Limits(pkcs12_bytes=70_000)
    bundle = a_bundle_with(files, "A0000000=a\nB0000000=a\nC0000000=a\n", limits=limits)

    assert [bundle.read(item)[:1] for item in reversed(bundle.items)] == [b"C", b"B", b"A"]


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("a/b/", "deeper than one folder"),
        ("a\\b\\", "deeper than one folder"),
        ("/home/me/", "absolute path"),
        ("C:\\certs\\", "absolute path"),
        ("../", "leads out of the zip"),
    ],
)
def test_a_text_file_that_is_passed_over_is_named_with_the_reason(folder: str, reason: str) -> None:
    content = a_zip({f"{folder}A12BC3D4EFGH.p12": b"x", f"{folder}c.txt": LINE, "d.csv": LINE})
    shown = folder.replace("\\", "/")

    with pytest.raises(
        NoCredentialsFile, match=rf"'{shown}c\.txt' was passed over: .*{reason}.* 'd\.csv'.* no \.txt"
    ):
        bundle_of(content)


def test_a_text_file_of_another_name_than_the_request_says_is_named() -> None:
    with pytest.raises(NoCredentialsFile, match=r"no file named 'b\.txt'\. 'a\.txt' was passed over"):
        bundle_of(a_zip({"A12BC3D4EFGH.p12": b"x", "a.txt": LINE}), "b.txt")


def test_a_request_may_name_the_credentials_file_with_a_backslash() -> None:
    content = a_zip({"phones\\A12BC3D4EFGH.p12": b"x", "phones\\a.txt": LINE, "b.txt": b""})

    assert report(bundle_of(content, "phones\\a.txt"))[0][2] == "password 'pw'"


def test_a_zip_without_a_pkcs12_says_what_it_holds() -> None:
    with pytest.raises(EmptyBundle, match=r"for each device, .*\.p12, .* Passed over: 'a\.pem', 'c\.txt'\."):
        bundle_of(a_zip({"a.pem": b"x", "c.txt": LINE, ".DS_Store": b""}))


@pytest.mark.parametrize("after", [" ", ".", " . ", "\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}"])
def test_a_name_with_blanks_after_its_suffix_fails_with_its_line_for_that_reason(after: str) -> None:
    [item] = bundle_of(a_zip({f"A12BC3D4EFGH.p12{after}": b"x", "c.txt": LINE})).items

    assert item.identity is not None
    assert isinstance(item.refusal, InvalidIdentity)
    assert "blanks or dots after its suffix: rename the file" in item.refusal.detail


def test_a_zip_in_base64_is_named_with_the_command_that_decodes_it() -> None:
    content = a_zip(PKCS12 | {"c.txt": LINE})

    for text in (base64.b64encode(content), base64.encodebytes(content).replace(b"\n", b"\r\n")):
        with pytest.raises(NotAZip, match=r"This is base64 of a zip, not a zip\. Decode it: base64 -d FILE"):
            bundle_of(text)


# --- misspelt names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "A12BC3D4EFGH.p12.p12",
        "A12BC3D4EFGH.pfx.p12",
        "A12BC3D4EFGH (1).p12",
        "A12BC3D4EFGH(2).p12",
        "A12BC3D4EFGH - Copy.p12",
        "A12BC3D4EFGH - Copy (3).p12",
        "A12BC3D4EFGH copy 2.p12",
        "A12BC3D4EFGH - Kopie.p12",
        "Kopie von A12BC3D4EFGH.p12",
        "Copy of a12bc3d4efgh.p12",
        "A12BC3D4EFGH のコピー.p12",
        "phones/A12BC3D4EFGH_old.p12",
    ],
)
def test_a_copy_and_the_line_of_its_device_are_one_item_with_a_hint(name: str) -> None:
    bundle = a_bundle_with({name: b"x"}, "A12BC3D4EFGH.p12=pw")

    assert report(bundle) == [(name, SERIAL_NUMBER, "invalid_identity")]
    assert "Rename the file to A12BC3D4EFGH.p12" in detail_of(bundle)


def test_a_copy_of_an_imei_with_hyphens_is_found_too() -> None:
    files = {"49-015420-323751-8 (1).p12": b"x"}
    bundle = a_bundle_with(files, "490154203237518=pw", identity_type=IdentityType.IMEI)

    assert [item.identity and item.identity.value for item in bundle.items] == ["490154203237518"]


def test_a_copy_takes_no_line_of_a_device_that_has_two() -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH (1).p12": b"x"}, "A12BC3D4EFGH=a\nA12BC3D4EFGH=b")

    assert [end for _, _, end in report(bundle)] == [
        "invalid_identity",
        "duplicate_identity",
        "duplicate_identity",
    ]


@pytest.mark.parametrize("copy_first", [True, False])
def test_a_copy_beside_its_original_leaves_the_line_to_the_original(copy_first: bool) -> None:
    names = ["A12BC3D4EFGH (1).p12", "A12BC3D4EFGH.p12"]
    bundle = a_bundle_with(dict.fromkeys(names if copy_first else names[::-1], b"x"), "A12BC3D4EFGH=pw")

    assert sorted(report(bundle)) == [
        ("A12BC3D4EFGH (1).p12", "A12BC3D4EFGH (1)", "invalid_identity"),
        ("A12BC3D4EFGH.p12", SERIAL_NUMBER, "password 'pw'"),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('"A12BC3D4EFGH.p12=pw"', "quotation marks"),
        ('"A12BC3D4EFGH"="pw"', "quotation marks"),
        ("C:\\certs\\A12BC3D4EFGH.p12=pw", "path"),
        ("./A12BC3D4EFGH=pw", "path"),
        ("\ufeffA12BC3D4EFGH=pw", "U+FEFF"),
        ("A12BC3D4EFGH\u200e.p12=pw", "U+200E"),
        ("A12BC3D4EFGH.p12\u200b=pw", "U+200B"),
        ("A12BC3D4EFGH.p12.p12=pw", "ending"),
        ("A12BC3D4EFGH.p12,=pw", "columns"),
        ('="A12BC3D4EFGH"=pw', "formula"),
    ],
)
def test_a_misspelt_line_and_its_entry_are_one_item_with_the_fault(line: str, says: str) -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x"}, "\n" + line)

    assert report(bundle) == [("A12BC3D4EFGH.p12", SERIAL_NUMBER, "invalid_identity")]
    assert detail_of(bundle).startswith("Line 2 of the credentials file: ")
    assert says in detail_of(bundle)


def test_a_misspelt_line_does_not_fail_a_device_that_has_a_good_one() -> None:
    bundle = a_bundle_with(
        {"A12BC3D4EFGH.p12": b"x"}, 'A12BC3D4EFGH=pw\n"A12BC3D4EFGH=pw"\n"B98ZY7X6WVUT=pw"'
    )

    assert [end for _, _, end in report(bundle)] == ["password 'pw'", "invalid_identity", "invalid_identity"]


@pytest.mark.parametrize("line", ["identity=password", "SerialNumber=Password", "# A12BC3D4EFGH=pw"])
def test_header_lines_and_comments_are_said_to_be_that(line: str) -> None:
    bundle = a_bundle_with({"A12BC3D4EFGH.p12": b"x"}, f"{line}\nA12BC3D4EFGH=pw")

    assert [end for _, _, end in report(bundle)] == ["password 'pw'", "invalid_identity"]
    assert re.search("This is a (header line|comment)", detail_of(bundle, 1))


def test_misspelt_names_do_not_count_twice_towards_the_limit() -> None:
    files = {f"{letter}12BC3D4EFGH (1).p12": b"x" for letter in "ABC"}
    lines = "".join(f"{letter}12BC3D4EFGH=pw\n" for letter in "ABC")

    assert len(a_bundle_with(files, lines, limits=Limits(entries=4)).items) == 3
    files = {f"{letter}12BC3D4EFGH.p12": b"x" for letter in "ABC"}
    lines = "".join(f'"{letter}12BC3D4EFGH"=pw\n' for letter in "ABC")
    assert len(a_bundle_with(files, lines, limits=Limits(entries=4)).items) == 3


# --- the credentials file ---------------------------------------------------------------------------

PKCS12 = {"A12BC3D4EFGH.p12": b"x"}


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"credential.txt": LINE}, None),
        ({"credential.txt": LINE}, ""),
        ({"PASSWORDS.TXT": LINE}, None),
        ({"phones/credential.txt": LINE}, None),
        ({"credential.txt": LINE, "__MACOSX/credential.txt": b"", "._x.txt": b""}, None),
        ({"credential.csv": LINE}, "credential.csv"),
        ({"credential": LINE}, "credential"),
        ({"phones/credential.txt": LINE}, "credential.txt"),
        ({"phones/credential.txt": LINE}, "phones/credential.txt"),
        ({"phones/Credential.TXT": LINE}, "credential.txt"),
        ({"Phones/credential.txt": LINE}, "phones/CREDENTIAL.txt"),
        ({"credential.txt": LINE, "README.txt": b""}, "credential.txt"),
        ({"credential.txt": LINE, "Credential.txt": b""}, "credential.txt"),
        ({"credential.txt": LINE, "old/credential.txt": b""}, "credential.txt"),
        ({"new/credential.txt": LINE, "old/credential.txt": b""}, "new/credential.txt"),
        ({"new/credential.txt": LINE, "old/Credential.txt": b""}, "credential.txt"),
    ],
)
def test_the_credentials_file_is_the_one_named_or_the_only_text_file(
    files: dict[str, bytes], named: str | None
) -> None:
    bundle = bundle_of(a_zip(PKCS12 | files), named)

    assert [code for _, _, code in report(bundle)] == ["password 'pw'"]
    assert bundle.ignored == len(files) - 1


@pytest.mark.parametrize(
    ("files", "named", "says"),
    [
        ({}, None, "no .txt file"),
        ({"credential.csv": LINE}, None, "no .txt file"),
        ({"a/b/credential.txt": LINE}, None, "no .txt file"),
        ({"../credential.txt": LINE}, None, "no .txt file"),
        ({"__MACOSX/credential.txt": LINE}, None, "no .txt file"),
        ({"credential.txt": LINE}, "credentials.txt", "no file named 'credentials.txt'"),
        ({"credential.txt": LINE}, "x\x1b" * 99, "no file named 'x\N{REPLACEMENT CHARACTER}"),
        ({"__MACOSX/credential.txt": LINE}, "credential.txt", "no file named"),
    ],
)
def test_a_bundle_without_its_credentials_file_is_refused(
    files: dict[str, bytes], named: str | None, says: str
) -> None:
    with pytest.raises(NoCredentialsFile, match=says):
        bundle_of(a_zip(PKCS12 | files), named)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["a.txt", "b.txt"], None),
        (["a.txt", "folder/a.txt"], None),
        (["credential.txt", "credential.txt"], None),
        (["credential.txt", "credential.txt"], "credential.txt"),
        (["a/credential.txt", "b/credential.txt"], "credential.txt"),
        (["Credential.txt", "CREDENTIAL.txt"], "credential.txt"),
        (["a/Credential.txt", "b/CREDENTIAL.txt"], "credential.txt"),
    ],
)
def test_two_files_that_could_be_the_credentials_file_are_refused_by_name(
    files: list[str], named: str | None
) -> None:
    entries = [Packed(b"A12BC3D4EFGH.p12", b"x"), *(Packed(name.encode(), LINE) for name in files)]
    with pytest.raises(AmbiguousCredentialsFile, match=f"'{files[0]}', '{files[1]}'"):
        bundle_of(a_zip_of(entries), named)


def test_a_credentials_file_that_is_a_link_is_none() -> None:
    with pytest.raises(NoCredentialsFile):
        bundle_of(a_zip_of([Packed(b"A12BC3D4EFGH.p12"), Packed(b"c.txt", b"/etc/passwd", mode=SYMLINK)]))


def test_a_credentials_file_over_its_limit_is_refused_before_it_is_unpacked() -> None:
    limits = Limits(credentials_file_bytes=15)

    assert a_bundle_with(PKCS12, "A12BC3D4EFGH=pw", limits=limits).items[0].refusal is None
    with pytest.raises(CredentialsFileTooLarge, match=r"'credential\.txt' has 16 bytes; the limit is 15"):
        a_bundle_with(PKCS12, "A12BC3D4EFGH=pw!", limits=limits)


def test_a_damaged_credentials_file_refuses_the_whole() -> None:
    with pytest.raises(MalformedZip, match=r"'c\.txt' is damaged: its CRC-32 is wrong"):
        bundle_of(a_zip_of([Packed(b"A12BC3D4EFGH.p12"), Packed(b"c.txt", LINE, crc=1)]))


def test_an_undecodable_credentials_file_refuses_the_whole() -> None:
    with pytest.raises(UndecodableCredentialsFile, match="Line 2"):
        bundle_of(a_zip(PKCS12 | {"c.txt": LINE + b"\n\xff=pw"}))


# --- the whole --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (end_record(0, 0, 0), "holds no PKCS#12 file."),
        (a_zip({"credential.txt": LINE}), "holds no PKCS#12 file."),
        (a_zip({"__MACOSX/._A12BC3D4EFGH.p12": b"x", "credential.txt": LINE}), "holds no PKCS#12 file."),
        (a_zip({"A12BC3D4EFGH.p12/": b"", "credential.txt": LINE}), "holds no PKCS#12 file."),
        (a_zip({"inner.zip": b"x", "credential.txt": LINE}), "only another zip"),
    ],
)
def test_a_bundle_without_any_pkcs12_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(EmptyBundle, match=says):
        bundle_of(content)


def test_a_bundle_whose_directory_hides_its_entries_is_not_taken_for_an_empty_one() -> None:
    good = a_zip(PKCS12 | {"c.txt": LINE})
    with pytest.raises(MalformedZip):
        bundle_of(good[:-2] + b"\x16\0" + end_record(0, 0, 0))


def test_an_overlap_bomb_is_refused() -> None:
    names = [b"%012d.p12" % number for number in range(300)]
    with pytest.raises(MalformedZip):
        bundle_of(quoted_overlap_bomb(names, bytes(10**6)))


def test_lines_without_an_entry_count_towards_the_limit() -> None:
    files = {f"{number:08}.p12": b"x" for number in range(3)}

    assert len(a_bundle_with(files, "A0000000=pw\n" * 2, limits=Limits(entries=5)).items) == 5
    with pytest.raises(TooManyEntries, match="name more than 5 devices"):
        a_bundle_with(files, "A0000000=pw\n" * 3, limits=Limits(entries=5))


def test_too_many_devices_are_noticed_before_the_items_of_all_entries_are_made() -> None:
    lines = parse_credentials(b"A0000000=pw\nB0000000=pw\n")
    join = Join(lines, IdentityType.SERIAL_NUMBER, Limits(entries=3))
    entries = Archive(
        io.BytesIO(a_zip({f"{number:08}.p12": b"x" for number in range(3)})), Limits()
    ).entries()
    join.add(next(entries), is_nested_zip=False)

    with pytest.raises(TooManyEntries):
        join.add(next(entries), is_nested_zip=False)


@pytest.mark.slow
def test_a_bundle_of_many_devices_takes_little_memory() -> None:
    number = 20_000
    names = [b"%012d" % count for count in range(number)]
    entries = [Packed(name + b".p12", b"x") for name in names]
    lines = b"".join(name + b".p12=password1!\n" for name in names)
    file = io.BytesIO(a_zip_of([*entries, Packed(b"c.txt", lines)]))
    del entries
    tracemalloc.start()
    try:
        bundle = read_bundle(file, IdentityType.SERIAL_NUMBER, None, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(bundle.items) == number
    assert peak < number * 900


def test_refusals_that_read_the_same_are_one_object() -> None:
    bundle = a_bundle_with({f"{number:08}.p12": b"x" for number in range(9)}, "")

    assert len({id(item.refusal) for item in bundle.items}) == 1
    with pytest.raises(ItemRefusal) as raised:
        bundle.read(bundle.items[0])
    assert raised.value is not bundle.items[0].refusal


def test_a_refusal_keeps_no_traceback_and_with_it_no_password() -> None:
    bundle = a_bundle_with({"bad.p12": b"x"}, "bad=hunter2")
    refusal = bundle.items[0].refusal

    assert refusal is not None
    assert refusal.__traceback__ is None
    assert refusal.__context__ is None


# --- properties -------------------------------------------------------------------------------------


def _holds_its_promises(content: bytes) -> Bundle | None:
    """Read it; then every entry is accounted for, and reading raises nothing but refusals of the item."""
    try:
        bundle = bundle_of(content)
    except RequestRefusal:
        return None
    assert [item.position for item in bundle.items] == list(range(len(bundle.items)))
    with_file = [item for item in bundle.items if item.file is not None]
    assert list(bundle.items[: len(with_file)]) == with_file
    for item in bundle.items:
        assert (item.password is None) == (item.refusal is not None)
        assert item.refusal is None or item.refusal.code in ITEM_CODES
        try:
            assert len(bundle.read(item)) <= Limits().pkcs12_bytes
        except ItemRefusal as refusal:
            assert refusal.detail
    return bundle


PASSWORDS = st.text(st.characters(codec="utf-8"), max_size=6)
NAMES = st.one_of(
    st.sampled_from(
        [
            "A12BC3D4EFGH",
            "a12bc3d4efgh",
            "B98ZY7X6WVUT",
            "C00000000001",
            "nonsense",
            "",
            "..",
            "__MACOSX",
            "._x",
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=12),
)
SUFFIXES = st.sampled_from([".p12", ".PFX", ".txt", ".zip", "", "/", ".p12/"])
FOLDERS = st.sampled_from(["", "", "", "phones/", "a/b/", "../", "/", "__MACOSX/", "\\"])
ENTRIES = st.builds(
    lambda folder, name, suffix, content, method, mode, crc: Packed(
        (folder + name + suffix).encode(), content, method, mode=mode, crc=crc
    ),
    *(FOLDERS, NAMES, SUFFIXES, st.binary(max_size=20), st.sampled_from([0, 8])),
    mode=st.sampled_from([0, 0o100644, SYMLINK, 0o040755]),
    crc=st.sampled_from([None, None, None, 1]),
)
LINES = st.lists(
    st.builds(
        lambda *parts: "".join(parts), NAMES, st.sampled_from([".p12", ""]), st.sampled_from("== "), PASSWORDS
    ),
    max_size=6,
)


@given(st.lists(ENTRIES, max_size=7), LINES)
def test_every_entry_and_line_is_an_item_or_counted(entries: list[Packed], lines: list[str]) -> None:
    entries = [*entries, Packed(b"the credentials", "\n".join(lines).encode())]
    content = a_zip_of(entries)
    try:
        bundle = bundle_of(content, "the credentials")
    except RequestRefusal:
        return
    with_file = sum(1 for item in bundle.items if item.file is not None)
    folders = sum(1 for entry in entries if entry.name.endswith((b"/", b"\\")))

    assert with_file + bundle.ignored + folders + 1 == len(entries)
    assert len(bundle.items) - with_file <= len(re.split("\r\n|\r|\n", "\n".join(lines)))
    for item in bundle.items:
        try:
            bundle.read(item)
        except ItemRefusal:
            continue
    usable = [item.identity for item in bundle.items if item.refusal is None]
    assert None not in usable
    assert len(set(usable)) == len(usable)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_a_whole(content: bytes) -> None:
    with pytest.raises(RequestRefusal):
        bundle_of(content)


SEED = a_zip_of(
    [
        Packed(b"A12BC3D4EFGH.p12", b"content", DEFLATED),
        streamed(b"phones/B98ZY7X6WVUT.p12", b"x" * 40),
        Packed(b"credential.txt", b"A12BC3D4EFGH=pw\nB98ZY7X6WVUT=pw\n"),
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=5))
def test_a_bundle_with_bytes_changed_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    content = bytearray(SEED)
    for at, value in changes:
        content[at] = value

    _holds_its_promises(bytes(content))


def test_every_single_byte_changed_is_read_or_refused() -> None:
    for at in range(len(SEED)):
        for value in (0, 1, 0xFF, SEED[at] ^ 0x20):
            _holds_its_promises(SEED[:at] + bytes([value]) + SEED[at + 1 :])


def test_a_bundle_cut_off_anywhere_is_refused() -> None:
    for length in range(len(SEED)):
        assert _holds_its_promises(SEED[:length]) is None


def test_the_seed_of_these_is_read() -> None:
    bundle = _holds_its_promises(SEED)

    assert bundle is not None
    assert len(bundle.items) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX file system")
def test_nothing_of_a_bundle_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("../evil.p12", b"x")
        archive.writestr("A12BC3D4EFGH.p12", b"x")
        archive.writestr("c.txt", LINE)
    bundle = bundle_of(target.getvalue())
    bundle.read(bundle.items[1])

    assert list(tmp_path.rglob("*")) == []
    assert not (tmp_path.parent / "evil.p12").exists()
