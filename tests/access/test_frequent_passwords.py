"""The passwords that most people choose are recognised, also where they are dressed up."""

import gzip

import pytest

from bulkcert.access.frequent_passwords import _LIST, is_frequent


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "123456",
        "Password1",
        "PASSWORD1234!",
        "(password)",
        "passwordpassword",
        "DragonDragonDragon",
        "ｐａｓｓｗｏｒｄ",
        "Administrator1",
        "1qaz2wsx3edc",
        "123456789012",
        "qwertyuiop[]",
    ],
)
def test_a_frequent_password_is_one_in_any_dress(password: str) -> None:
    assert is_frequent(password)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "correct horse battery staple",
        "dragon-7391-8826",  # the digits are most of it
        "dragon and password",
        "kaW0mQ3xVd-_9LzTq8eR4uYp",
        "x" * 1024,
        "\u0301\u0327" * 512,
    ],
)
def test_another_password_is_none(password: str) -> None:
    assert not is_frequent(password)


def test_every_line_of_the_list_is_found() -> None:
    words = gzip.decompress(_LIST.read_bytes()).decode().split("\n")

    assert len(words) == len(set(words)) > 10_000
    assert all(map(is_frequent, words[:50] + words[-50:]))
    assert all(word == word.casefold().strip() for word in words)
