"""Names from a stranger: junk is told from files, faults are named, and what is shown cannot deceive."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.bundle.entry_names import (
    LONGEST_SHOWN,
    basename,
    fault_of,
    is_junk,
    is_pkcs12,
    is_text,
    is_zip,
    shown,
    without_suffix,
)

REPLACED = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("A12BC3D4EFGH.p12", "A12BC3D4EFGH.p12"),
        ("Büro/A12.p12", "Büro/A12.p12"),
        ("手机/A12.p12", "手机/A12.p12"),
        ("non-breaking\u00a0space", "non-breaking\u00a0space"),
        ("line\nbreak", f"line{REPLACED}break"),
        ("esc\x1b[31mred", f"esc{REPLACED}[31mred"),
        ("nul\0", f"nul{REPLACED}"),
        ("\x7f\x85\x9b", REPLACED * 3),
        ("21p.\u202eexe.p12", f"21p.{REPLACED}exe.p12"),
        ("\u2066isolate\u2069", f"{REPLACED}isolate{REPLACED}"),
        ("zero\u200bwidth\ufeff", f"zero{REPLACED}width{REPLACED}"),
        ("\u2028\u2029", REPLACED * 2),
        ("\ud800 \ue000 \uffff", f"{REPLACED} {REPLACED} {REPLACED}"),
        ("📱", REPLACED),
    ],
)
def test_what_could_control_or_reorder_the_screen_is_replaced(text: str, safe: str) -> None:
    assert shown(text) == safe


def test_a_long_name_loses_its_middle_and_keeps_its_suffix() -> None:
    name = "A" * 500 + "/B12BC3D4EFGH.p12"

    assert len(shown(name)) == LONGEST_SHOWN
    assert shown(name).endswith("B12BC3D4EFGH.p12")
    assert shown("abcdefghij", 10) == "abcdefghij"
    assert shown("abcdefghijk", 10) == "abcdef…ijk"


@given(st.text(), st.integers(3, 200))
def test_nothing_shown_is_too_long_or_unsafe(text: str, most: int) -> None:
    safe = shown(text, most)

    assert len(safe) <= most
    assert not {unicodedata.category(char) for char in safe} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert shown(safe, most) == safe


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("__MACOSX/._A12BC3D4EFGH.p12", True),
        ("__MACOSX/phones/._A12BC3D4EFGH.p12", True),
        ("__macosx/x", True),
        ("__MACOSX/A12BC3D4EFGH.p12", True),
        ("phones/._A12BC3D4EFGH.p12", True),
        ("._x", True),
        (".DS_Store", True),
        ("phones/.ds_store", True),
        ("Thumbs.db", True),
        ("phones/desktop.ini", True),
        ("DESKTOP.INI", True),
        ("A12BC3D4EFGH.p12", False),
        ("__MACOSX.p12", False),
        ("phones/__MACOSX.p12", False),
        ("_A12.p12", False),
        (".p12", False),
        ("my.DS_Store", False),
        ("README.md", False),
    ],
)
def test_what_macos_and_windows_leave_behind_is_junk(name: str, junk: bool) -> None:
    assert is_junk(name) is junk


@pytest.mark.parametrize(
    ("name", "pkcs12"),
    [
        ("a.p12", True),
        ("a.P12", True),
        ("a.pfx", True),
        ("folder/a.PfX", True),
        ("a.pkcs12", True),
        ("a.PKCS12", True),
        (".p12", True),
        ("a.p12\0.txt", True),
        ("a\0.p12", True),
        ("a.p12 ", True),
        ("a.p12\n", True),
        ("folder/a.p12. .", True),
        ("a.p12\N{NO-BREAK SPACE}", True),
        ("a.p12\N{ZERO WIDTH SPACE}", True),
        ("a.pem ", False),
        ("", False),
        ("a.p12.txt", False),
        ("ap12", False),
        ("a.p12/", False),
        ("a.pem", False),
        ("\0" * 50, False),
    ],
)
def test_a_pkcs12_entry_is_told_by_its_suffix(name: str, pkcs12: bool) -> None:
    assert is_pkcs12(name) is pkcs12


def test_text_files_and_zips_are_told_by_their_suffixes_in_any_case() -> None:
    assert is_text("a.txt")
    assert is_text("folder/A.TXT")
    assert not is_text("a.txt.p12")
    assert is_zip("a.ZIP")
    assert not is_zip("a.zip.p12")


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("A12.p12", "A12"),
        ("A12.PFX", "A12"),
        ("A12.pkcs12", "A12"),
        ("A12.p12.p12", "A12.p12"),
        ("A12", "A12"),
        (".p12", ""),
        ("A12.p12\n", "A12.p12\n"),
    ],
)
def test_the_suffix_comes_off_once(text: str, without: str) -> None:
    assert without_suffix(text) == without


@pytest.mark.parametrize(("name", "last"), [("a", "a"), ("b/a", "a"), ("b/c/a", "a"), ("b/", "")])
def test_the_last_part_of_a_name_follows_the_last_slash(name: str, last: str) -> None:
    assert basename(name) == last


@pytest.mark.parametrize(
    "name",
    ["A12BC3D4EFGH.p12", "phones/A12BC3D4EFGH.p12", "Büro 1/A12.p12", "📱/A12.p12", "a..b/c..p12", "x" * 255],
)
def test_a_name_at_the_top_or_in_one_folder_has_no_fault(name: str) -> None:
    assert fault_of(name) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../A12.p12", "leads out of the zip"),
        ("phones/../A12.p12", "leads out of the zip"),
        ("../../etc/A12.p12", "leads out of the zip"),
        ("/A12.p12", "absolute"),
        ("/etc/A12.p12", "absolute"),
        ("//server/share/A12.p12", "absolute"),
        ("C:A12.p12", "absolute"),
        ("c:/A12.p12", "absolute"),
        ("a/b/A12.p12", "deeper than one folder"),
        ("a//A12.p12", "deeper than one folder"),
        ("./a/A12.p12", "deeper than one folder"),
        ("A12\n.p12", "line break"),
        ("A12\r.p12", "line break"),
        ("A12\x1b.p12", "control character"),
        ("A12\u2028.p12", "line break"),
        ("AA\0BB.p12", "NUL"),
        ("21p.\u202eA12.p12", "invisible character U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("A12\u200b.p12", "invisible character U+200B (ZERO WIDTH SPACE)"),
        ("\ufeffA12.p12", "invisible character U+FEFF (ZERO WIDTH NO-BREAK SPACE)"),
        ("x" * 256, "longer than 255"),
    ],
)
def test_a_name_that_is_no_plain_file_name_says_why(name: str, says: str) -> None:
    assert says in (fault_of(name) or "no fault")


@given(st.text(max_size=30))
def test_a_name_without_fault_has_one_folder_at_most_and_nothing_invisible(name: str) -> None:
    if fault_of(name) is None:
        assert name.count("/") <= 1
        assert not {unicodedata.category(char) for char in name} & {"Cc", "Cf", "Zl", "Zp"}
