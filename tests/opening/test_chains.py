"""Certificates of a chain stand in an answer as texts of their own, and are remembered: no less is asked of them."""

import json

import pytest

from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.opening import protocol
from bulkcert.opening.protocol import Frames, frame, read_answer, write_answer
from bulkcert.values.secret import Secret
from tests.builders import PASSWORD, a_pkcs12

NUMBER = 7
PREFIX = NUMBER.to_bytes(8)
OPENED = pkcs12.open(a_pkcs12(), Secret(PASSWORD.encode()))
ANSWER = json.loads(write_answer(NUMBER, OPENED)[4 + len(PREFIX) :])
LINK = json.loads(ANSWER["chain"][0])


def answer_with(link: object) -> bytes:
    return json.dumps(ANSWER | {"chain": [link]}).encode()


@pytest.mark.parametrize(
    "text",
    ["", "{", "5", "null", "[]", "{}", '{"der": "", "facts": 5}', "[" * 100_000, " " * 70_000],
    ids=lambda text: text[:30],
)
def test_a_link_that_is_none_is_not_believed(text):
    with pytest.raises(ValueError):
        read_answer(NUMBER, PREFIX + answer_with(text))


@pytest.mark.parametrize("missing", ["der", *(f"facts.{name}" for name in LINK["facts"])])
def test_a_link_without_one_of_its_members_is_not_believed(missing):
    link = json.loads(json.dumps(LINK))
    place = link["facts"] if missing.startswith("facts.") else link
    del place[missing.removeprefix("facts.")]

    with pytest.raises(ValueError):
        read_answer(NUMBER, PREFIX + answer_with(json.dumps(link)))


@pytest.mark.parametrize("name", sorted(LINK["facts"]))
def test_a_link_with_a_member_of_the_wrong_kind_is_not_believed(name):
    link = json.loads(json.dumps(LINK))
    link["facts"][name] = 7.5

    with pytest.raises(ValueError):
        read_answer(NUMBER, PREFIX + answer_with(json.dumps(link)))


def test_what_is_remembered_of_one_link_is_not_told_of_another():
    """The same certificate under another name: a process that was taken over must not be able to plant facts."""
    read_answer(NUMBER, write_answer(NUMBER, OPENED)[4:])
    forged = json.loads(json.dumps(LINK))
    forged["facts"]["subject"]["text"] = "CN=Somebody else"

    found = read_answer(NUMBER, PREFIX + answer_with(json.dumps(forged)))
    again = read_answer(NUMBER, write_answer(NUMBER, OPENED)[4:])

    assert found.chain[0].facts.subject.text == "CN=Somebody else"
    assert again == OPENED


def test_a_link_that_is_very_long_is_read_and_not_remembered():
    before = protocol._read_link.cache_info().currsize
    found = read_answer(NUMBER, PREFIX + answer_with(json.dumps(LINK) + " " * 70_000))

    assert found == OPENED
    assert protocol._read_link.cache_info().currsize == before


def test_whoever_trusts_the_other_end_takes_frames_of_any_length():
    content = bytes(9 * 1024**2)
    short, long = Frames(), Frames(longest=2**32)
    for each in (short, long):
        each.add(frame(content))

    assert long.take() == content
    with pytest.raises(ValueError, match="too long"):
        short.take()
