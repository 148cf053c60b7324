"""What spreadsheets, exports and editors leave in lists is named, and never taken for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import InvalidIdentity
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.misspellings import MOST_LOOKED_AT, find_misspelling, is_header

SERIAL = "A12BC3D4EFGH"
IMEI = "490154203237518"


@pytest.mark.parametrize(
    ("text", "says", "meant"),
    [
        (f'"{SERIAL}"', "quotation marks", SERIAL),
        (f'"{SERIAL}', "quotation marks", SERIAL),
        (f"'{SERIAL}'", "quotation marks", SERIAL),
        (f"“{SERIAL}”", "quotation marks", SERIAL),
        (f"„{SERIAL}“", "quotation marks", SERIAL),
        (f"'{IMEI}", "apostrophe", IMEI),
        (f'="{IMEI}"', "formula of a spreadsheet", IMEI),
        (f'="{IMEI}",x', "formula of a spreadsheet", IMEI),
        ("4.90154E+14", "digits are lost", None),
        ("4,90154E+14", "digits are lost", None),
        ("4.90154e14", "digits are lost", None),
        ("490154E+9", "digits are lost", None),
        (f"{IMEI}.0", "decimals", IMEI),
        (f"{IMEI},00", "decimals", IMEI),
        (f"{SERIAL},,", "columns", SERIAL),
        (f"{SERIAL};iPad", "columns", SERIAL),
        (f"{SERIAL}\tiPad", "columns", SERIAL),
        (f'"{SERIAL}","iPad 0"', "columns", SERIAL),
        ('"SerialNumber","Name"', "header line with columns", None),
        ("Serial Number;Device Name", "header line with columns", None),
        (f"C:\\certs\\{SERIAL}.p12", "path", SERIAL),
        (f"./{SERIAL}", "path", SERIAL),
        (f"/home/me/{SERIAL}.pfx", "path", SERIAL),
        (f"{SERIAL}.p12", "ending", SERIAL),
        ("# phones", "comment", None),
        ("// phones", "comment", None),
        ("; phones", "comment", None),
        ("-- phones", "comment", None),
        ("REM phones", "comment", None),
        ("Serial Number", "header line", None),
        ("serial_number", "header line", None),
        ("IMEI/MEID", "path", ""),
        ("IMEI", "header line", None),
        (f"\ufeff{SERIAL}", "U+FEFF (ZERO WIDTH NO-BREAK SPACE)", SERIAL),
        (f"{SERIAL}\u200e", "U+200E (LEFT-TO-RIGHT MARK)", SERIAL),
        ("A12BC3\u200bD4EFGH", "U+200B (ZERO WIDTH SPACE)", SERIAL),
        ("49\u00a0015420 323751 8", "U+00A0 (NO-BREAK SPACE)", "49015420 323751 8"),
        ("A12BC3D4EFG\u041d", "U+041D (CYRILLIC CAPITAL LETTER EN)", None),
        ("\uff21\uff22\uff23\uff24\uff25\uff26\uff27\uff28", "U+FF21", None),
    ],
)
def test_a_misspelling_is_named_with_the_text_that_was_meant(text: str, says: str, meant: str | None) -> None:
    found = find_misspelling(text)

    assert found is not None
    assert says in found.fault
    if meant != "":
        assert found.meant == meant


@pytest.mark.parametrize("text", ["", "short", "A12BC3D4EFGH!", "12345E12", "A-B", "x" * 500, "="])
def test_what_is_nothing_of_these_has_no_name(text: str) -> None:
    assert find_misspelling(text) is None


@pytest.mark.parametrize(
    "text", ["A12BC3D4EFGH", "12345E12", "99E99999", "SERIALNO1", "MACBOOKPRO", "REMOTE123"]
)
def test_a_serial_number_stays_one(text: str) -> None:
    assert not is_header(text)
    assert DeviceIdentity.parse(IdentityType.SERIAL_NUMBER, text).value == text


@pytest.mark.parametrize(
    "text", ["SerialNumber", "serial number", "IDENTITY", "DeviceID", "Device Name", "FileName", "password"]
)
def test_the_head_of_a_column_is_told_from_a_serial_number(text: str) -> None:
    assert is_header(text)


def test_the_rule_stands_before_what_is_wrong() -> None:
    with pytest.raises(
        InvalidIdentity, match=r"An IMEI has 15 digits, nothing else\. .* scientific notation"
    ):
        DeviceIdentity.parse(IdentityType.IMEI, "4.90154E+14")


@given(st.text(max_size=200))
def test_any_text_is_looked_at(text: str) -> None:
    found = find_misspelling(text)

    assert found is None or found.fault.endswith(".")


@pytest.mark.parametrize(
    "unit", [",", '"', "'", "#", "1", "1.", "=", '="', "/", ".p12", "a ", "\u200b", "serial"]
)
def test_long_texts_are_looked_at_in_linear_time(unit: str) -> None:
    find_misspelling(unit * (10 * MOST_LOOKED_AT))
    is_header(unit * (10 * MOST_LOOKED_AT))
