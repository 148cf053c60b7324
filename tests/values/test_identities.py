"""Device identities: every spelling of a device becomes one value, and nothing else becomes one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from bulkcert.errors import InvalidIdentity, UnknownIdentityType
from bulkcert.values.identities import LONGEST, DeviceIdentity, IdentityType

SERIAL_NUMBER, IMEI, MEID = IdentityType.SERIAL_NUMBER, IdentityType.IMEI, IdentityType.MEID


def value(identity_type: IdentityType, text: str) -> str:
    return DeviceIdentity.parse(identity_type, text).value


@pytest.mark.parametrize(
    ("identity_type", "text", "normal"),
    [
        (SERIAL_NUMBER, "A12BC3D4EFGH", "A12BC3D4EFGH"),
        (SERIAL_NUMBER, "a12bc3d4efgh", "A12BC3D4EFGH"),
        (SERIAL_NUMBER, " A12BC3D4EFGH\t", "A12BC3D4EFGH"),
        (SERIAL_NUMBER, "C02X12YZ", "C02X12YZ"),
        (SERIAL_NUMBER, "0123456789ABCDEFGHIJ", "0123456789ABCDEFGHIJ"),
        (SERIAL_NUMBER, "PASSWORD", "PASSWORD"),
        (IMEI, "490154203237518", "490154203237518"),
        (IMEI, "49-015420-323751-8", "490154203237518"),
        (IMEI, "49 015420 323751 8", "490154203237518"),
        (IMEI, " 490154203237518 ", "490154203237518"),
        (IMEI, "000000000000000", "000000000000000"),
        (IMEI, "350077523237513", "350077523237513"),
        (MEID, "A10000009296F1", "A10000009296F1"),
        (MEID, "a10000009296f1", "A10000009296F1"),
        (MEID, "A1-000000-9296F1", "A10000009296F1"),
        (MEID, "AF 01 23 45 0A BC DE", "AF0123450ABCDE"),
        (MEID, "AF0123450ABCDEC", "AF0123450ABCDE"),
        (MEID, "293608736500703710", "AF0123450ABCDE"),
        (MEID, "29360-87365-0070-3710", "AF0123450ABCDE"),
        (MEID, "2936087365007037100", "AF0123450ABCDE"),
        (MEID, "99000012345678", "99000012345678"),
    ],
)
def test_every_spelling_becomes_the_normal_form(identity_type: IdentityType, text: str, normal: str) -> None:
    identity = DeviceIdentity.parse(identity_type, text)

    assert identity == DeviceIdentity(identity_type, normal)
    assert str(identity) == normal


@pytest.mark.parametrize(
    ("identity_type", "text", "says"),
    [
        (SERIAL_NUMBER, "", "8 to 20"),
        (SERIAL_NUMBER, "A12BC3D", "8 to 20"),
        (SERIAL_NUMBER, "A" * 21, "8 to 20"),
        (SERIAL_NUMBER, "A12BC3D4-EFGH", "8 to 20"),
        (SERIAL_NUMBER, "A12BC3D4 EFGH", "8 to 20"),
        (SERIAL_NUMBER, "A12BC3D4EFGH\0", "8 to 20"),
        (SERIAL_NUMBER, "A12BC3D4\nEFGH", "8 to 20"),
        (SERIAL_NUMBER, "A12BC3D4EFGH.p12", "8 to 20"),
        (SERIAL_NUMBER, "../A12BC3D4EFGH", "8 to 20"),
        (SERIAL_NUMBER, "STRAßE12345", "8 to 20"),  # upper() makes SS of it
        (SERIAL_NUMBER, "A12BC3D4EFGİ", "8 to 20"),
        (SERIAL_NUMBER, "A12BC3D4EFGſ", "8 to 20"),  # upper() makes S of it
        (SERIAL_NUMBER, "１２３４５６７８９", "8 to 20"),
        (SERIAL_NUMBER, "ＡＢＣＤＥＦＧＨＩ", "8 to 20"),
        (SERIAL_NUMBER, "A" * (LONGEST + 1), "at most 64"),
        (IMEI, "", "15 digits"),
        (IMEI, "490154203237519", "check digit of this IMEI is wrong"),
        (IMEI, "490154203237581", "check digit of this IMEI is wrong"),
        (IMEI, "49015420323751", "check digit at its end is missing"),
        (IMEI, "4901542032375180", "16-digit IMEISV"),
        (IMEI, "4901542032375", "this has 13"),
        (IMEI, "49015420323751812", "this has 17"),
        (IMEI, "49015420323751X", "15 digits, nothing else"),
        (IMEI, "49/015420/323751/8", "15 digits, nothing else"),
        (IMEI, "４９０１５４２０３２３７５１８", "15 digits, nothing else"),
        (IMEI, "٤٩٠١٥٤٢٠٣٢٣٧٥١٨", "15 digits, nothing else"),
        (IMEI, "49\u2011015420\u2011323751\u20118", "15 digits, nothing else"),
        (IMEI, "490154203237518\n0", "15 digits, nothing else"),
        (MEID, "", "14 hexadecimal"),
        (MEID, "A10000009296F", "14 hexadecimal"),
        (MEID, "A10000009296FG", "14 hexadecimal"),
        (MEID, "AF0123450ABCDE0", "check digit of this MEID is wrong"),
        (MEID, "2936087365007037101", "check digit of this MEID is wrong"),
        (MEID, "999999999999999999", "14 hexadecimal"),
        (MEID, "2936087365007037", "14 hexadecimal"),
        (MEID, "A1000000_9296F1", "14 hexadecimal"),
        (MEID, "A10000009296F１", "14 hexadecimal"),
        (MEID, "0x0000009296F1", "14 hexadecimal"),
        (MEID, "A1\u2010000000\u20109296F1", "14 hexadecimal"),
        (MEID, "A10000009296ﬀ", "14 hexadecimal"),
        (MEID, "29360873650070371०", "14 hexadecimal"),
    ],
)
def test_what_is_no_identity_says_why(identity_type: IdentityType, text: str, says: str) -> None:
    with pytest.raises(InvalidIdentity) as refused:
        DeviceIdentity.parse(identity_type, text)

    assert says in refused.value.detail


@pytest.mark.parametrize("identity_type", IdentityType)
def test_a_type_is_read_as_the_api_spells_it(identity_type: IdentityType) -> None:
    assert IdentityType.parse(str(identity_type)) is identity_type


@pytest.mark.parametrize("text", ["", "imei", "SERIAL", "UDID", "IMEI ", "IdentityType.IMEI"])
def test_another_type_is_unknown(text: str) -> None:
    with pytest.raises(UnknownIdentityType, match="SERIAL_NUMBER, IMEI or MEID"):
        IdentityType.parse(text)


def test_the_same_value_of_two_types_is_two_devices() -> None:
    assert DeviceIdentity(IMEI, "490154203237518") != DeviceIdentity(SERIAL_NUMBER, "490154203237518")


# --- properties -------------------------------------------------------------------------------------

FORM = {
    SERIAL_NUMBER: (set(string.ascii_uppercase + string.digits), range(8, 21)),
    IMEI: (set(string.digits), range(15, 16)),
    MEID: (set(string.hexdigits.upper()), range(14, 15)),
}
SPELLINGS = st.one_of(
    st.text(max_size=70),
    st.text(string.hexdigits + "- ", max_size=24),
    st.text(string.digits, min_size=12, max_size=20),
    st.from_regex(r"[0-9A-Fa-fſßİ]{8,20}", fullmatch=True),
)


@given(st.sampled_from(IdentityType), SPELLINGS)
def test_any_text_is_an_identity_in_normal_form_or_refused(identity_type: IdentityType, text: str) -> None:
    try:
        normal = value(identity_type, text)
    except InvalidIdentity:
        return
    letters, lengths = FORM[identity_type]

    assert set(normal) <= letters
    assert len(normal) in lengths
    assert value(identity_type, normal) == normal


@given(st.text(string.ascii_letters + string.digits, min_size=8, max_size=20))
def test_a_serial_number_is_the_same_in_any_case(text: str) -> None:
    assert value(SERIAL_NUMBER, text) == value(SERIAL_NUMBER, text.lower()) == text.upper()


def _spaced(draw: st.DrawFn, text: str) -> str:
    separators = draw(st.lists(st.sampled_from(["", "", "-", " "]), min_size=len(text), max_size=len(text)))
    return "".join(char + separator for char, separator in zip(text, separators, strict=True))


@st.composite
def an_imei(draw: st.DrawFn) -> tuple[str, str]:
    digits = draw(st.text(string.digits, min_size=14, max_size=14))
    normal = digits + luhn.calc_check_digit(digits)
    return _spaced(draw, normal), normal


@given(an_imei())
def test_hyphens_and_spaces_of_an_imei_mean_nothing(spelling: tuple[str, str]) -> None:
    text, normal = spelling

    assert value(IMEI, text) == normal


@given(an_imei(), st.integers(0, 14), st.integers(1, 9))
def test_one_mistyped_digit_of_an_imei_is_noticed(spelling: tuple[str, str], at: int, by: int) -> None:
    _, normal = spelling
    wrong = normal[:at] + str((int(normal[at]) + by) % 10) + normal[at + 1 :]
    with pytest.raises(InvalidIdentity, match="check digit of this IMEI is wrong"):
        value(IMEI, wrong)


@given(st.integers(0xA0000000, 0xFFFFFFFF), st.integers(0, 0xFFFFFF), st.randoms())
def test_a_meid_in_hexadecimal_and_in_decimal_is_the_same(
    manufacturer: int, number: int, coin: object
) -> None:
    hexadecimal = f"{manufacturer:08X}{number:06X}"

    assert value(MEID, hexadecimal) == hexadecimal
    assert value(MEID, hexadecimal.lower()) == hexadecimal
    assert value(MEID, f"{manufacturer:010}{number:08}") == hexadecimal
