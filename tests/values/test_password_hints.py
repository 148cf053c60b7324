"""A password that opens nothing is looked at for the usual slips, and is never told itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.values.password_hints import describe_oddities
from bulkcert.values.secret import Secret


@pytest.mark.parametrize(
    ("password", "says"),
    [
        (" hunter2", "begins with a space"),
        ("\thunter2", "begins with a space"),
        ("hunter2 ", "ends with a space"),
        ('"hunter2"', "quotation marks"),
        ("'hunter2'", "quotation marks"),
        (' "hunter2"', "quotation marks"),
        ("“hunter2”", "U+201C (LEFT DOUBLE QUOTATION MARK)"),
        ("hunter’2", "U+2019 (RIGHT SINGLE QUOTATION MARK)"),
        ("hunter–2", "U+2013 (EN DASH)"),
        ("hunter2\u200b", "U+200B (ZERO WIDTH SPACE)"),
        ("hunter2\u00a0", "U+00A0 (NO-BREAK SPACE)"),
        ("hunter2,,", "comma"),
        ("hunter2;", "semicolon"),
        ("hunter2 # the new one", "no comments"),
        ("", "empty"),
    ],
)
def test_a_slip_is_named_without_the_password(password: str, says: str) -> None:
    hint = describe_oddities(Secret(password.encode()))

    assert says in hint
    assert "hunter" not in hint


@pytest.mark.parametrize("password", ["hunter2", "hunter 2", "a#b", "pässwörd🔑", 'a"b', "=x=", '"'])
def test_an_ordinary_password_has_no_oddity(password: str) -> None:
    assert describe_oddities(Secret(password.encode())) == ""


@given(st.binary(max_size=60))
def test_any_password_can_be_looked_at(password: bytes) -> None:
    describe_oddities(Secret(password))
