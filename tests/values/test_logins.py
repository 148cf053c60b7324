"""Logins: what counts as one login, and what a new one may be."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import MalformedRequest
from bulkcert.values.logins import check_new_login, key_of


@pytest.mark.parametrize(
    ("login", "key"),
    [
        ("administrator", "administrator"),
        ("Administrator", "administrator"),
        ("ＡＤＭＩＮ＠example.org", "admin@example.org"),
        ("ﬁrst", "first"),
        ("straße", "strasse"),
        ("olga\u200b", "olga\u200b"),  # an invisible character is no spelling of nothing
        ("оlga", "оlga"),  # a Cyrillic o
    ],
)
def test_spellings_of_a_login_have_one_key(login: str, key: str) -> None:
    assert key_of(login) == key


@given(st.text(max_size=255))
def test_a_key_is_its_own_key(login: str) -> None:
    key = key_of(login)

    assert len(key) > 255 or key_of(key) == key


def test_the_key_of_a_text_without_a_token_takes_no_quadratic_time() -> None:
    start = time.process_time()
    key_of("a" + "\u0301\u0327" * 32768)  # marks that normal forms sort

    assert time.process_time() - start < 2


@pytest.mark.parametrize("login", ["olga", "Olga.Meier", "x" * 100, "o+1@example.org", "systemd", "clients"])
def test_a_plain_word_is_a_login(login: str) -> None:
    check_new_login(login)


@pytest.mark.parametrize(
    "login",
    [
        "",
        " olga",
        "olgä",
        "оlga",  # a Cyrillic o
        "olgа",  # a Cyrillic a
        "ｏlga",  # a full-width o
        "ol\u200bga",  # a space of no width
        "ol\u202ega",  # from right to left
        "ol\u00adga",  # a soft hyphen
        "olga\n",
        "a/b",
        "..",
        "cli:root",
        "system",
        "SYSTEM",
        "Unknown",
        "cli",
        "client-0123456789abcdef",
        "Client-1",
        "x" * 101,
    ],
)
def test_a_look_alike_or_another_actors_name_is_refused(login: str) -> None:
    with pytest.raises(MalformedRequest, match="login"):
        check_new_login(login)
