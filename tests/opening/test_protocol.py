"""What goes over the pipes, and what is believed of it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import NotPkcs12, TooCostly, WrongPassword
from bulkcert.errors.file_kinds import FileKind
from bulkcert.errors.items import ITEM_REFUSALS
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.opening.protocol import Frames, frame, read_answer, read_request, write_answer, write_request
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import NOW, PASSWORD, a_pkcs12

NUMBER = 7
PREFIX = NUMBER.to_bytes(8)
OPENED = pkcs12.open(a_pkcs12(), Secret(PASSWORD.encode()))
ANSWER = json.loads(write_answer(NUMBER, OPENED)[4 + len(PREFIX) :])


def test_an_opened_certificate_comes_through():
    assert read_answer(NUMBER, write_answer(NUMBER, OPENED)[4:]) == OPENED


@pytest.mark.parametrize("number", [0, 6, 8, 2**32 + 7])
def test_the_answer_to_another_request_is_not_taken(number):
    """It may be the key of another device."""
    with pytest.raises(ValueError, match="another request"):
        read_answer(number, write_answer(NUMBER, OPENED)[4:])


@pytest.mark.parametrize(
    "refusal", [WrongPassword("no"), TooCostly("ä € \n"), NotPkcs12("a zip", found=FileKind.ZIP)]
)
def test_a_refusal_comes_through(refusal):
    found = read_answer(NUMBER, write_answer(NUMBER, refusal)[4:])

    assert isinstance(found, type(refusal))
    assert found.detail == refusal.detail
    assert found.found is refusal.found


def test_every_code_comes_through():
    for kind in ITEM_REFUSALS:
        found = read_answer(NUMBER, write_answer(NUMBER, kind("text"))[4:])

        assert type(found) is kind


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_request_comes_through(content, password):
    sent = write_request(NUMBER, content, Secret(password), Limits(), NOW)

    assert read_request(sent[4:]) == (NUMBER, content, Secret(password), NOW)


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 20))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(contents, size):
    stream = b"".join(frame(content) for content in contents)
    frames = Frames()
    found = []
    for at in range(0, len(stream), size):
        frames.add(stream[at : at + size])
        while (content := frames.take()) is not None:
            found.append(content)

    assert found == contents


def test_a_frame_that_would_fill_the_memory_is_refused():
    frames = Frames()
    frames.add(b"\xff\xff\xff\xff")

    with pytest.raises(ValueError, match="too long"):
        frames.take()


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Every member of the answer, however deep."""
    if isinstance(value, dict):
        return [path, *(place for name, inner in value.items() for place in places(inner, (*path, name)))]
    if isinstance(value, list):
        return [path, *(place for at, inner in enumerate(value) for place in places(inner, (*path, at)))]
    return [path]


@pytest.mark.parametrize("wrong", [7.5, {"x": []}, [[]]])
@pytest.mark.parametrize(
    "path", [path for path in places(ANSWER) if path], ids=lambda path: ".".join(map(str, path))
)
def test_a_member_of_the_wrong_kind_is_not_believed(path, wrong):
    answer = json.loads(json.dumps(ANSWER))
    place = answer
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = wrong

    with pytest.raises(ValueError):
        read_answer(NUMBER, PREFIX + json.dumps(answer).encode())


@pytest.mark.parametrize("missing", [path for path in places(ANSWER) if path and isinstance(path[-1], str)])
def test_a_member_that_is_missing_is_not_made_up(missing):
    answer = json.loads(json.dumps(ANSWER))
    place = answer
    for step in missing[:-1]:
        place = place[step]
    del place[missing[-1]]

    try:
        found = read_answer(NUMBER, PREFIX + json.dumps(answer).encode())
    except ValueError:
        return
    # Only the well-known attributes of a name may be absent.
    assert missing[-2] in {"subject", "issuer"}
    assert found != OPENED or place.get(missing[-1]) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_no_answer(content):
    with pytest.raises(ValueError):
        read_answer(NUMBER, PREFIX + content)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_random_json_is_no_answer(value):
    with pytest.raises(ValueError):
        read_answer(NUMBER, PREFIX + json.dumps(value).encode())


def test_an_endless_nesting_is_no_answer():
    with pytest.raises(ValueError):
        read_answer(NUMBER, PREFIX + b"[" * 100_000)


def test_what_a_child_says_is_bounded():
    """Code that runs in the child says what it likes; rows and answers stay small."""
    facts = ANSWER["leaf"]["facts"] | {
        "subject": {"text": "s" * 10**6},
        "signature_algorithm": "a" * 10**6,
        "subject_alternative_names": ["n" * 1000] * 1000,
    }
    said = ANSWER | {
        "leaf": ANSWER["leaf"] | {"facts": facts},
        "warnings": ["no_client_auth"] * 10**5,
        "remarks": ["r" * 2000] * 1000,
        "chain": ANSWER["chain"] * 3000,
    }
    found = read_answer(NUMBER, PREFIX + json.dumps(said).encode())

    assert len(repr(found.leaf.facts)) < 24 * 1024
    assert found.leaf.facts.names_total == 1000
    assert len(found.warnings) == 1
    assert sum(map(len, found.remarks)) <= 20_000
    assert len(found.chain) == 1000


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("serial_number", "9" * 4301),
        ("serial_number", "x"),
        ("names_left_out", -1),
        ("names_left_out", 10**9),
    ],
)
def test_numbers_of_another_form_are_not_believed(member, value):
    leaf = ANSWER["leaf"] | {"facts": ANSWER["leaf"]["facts"] | {member: value}}

    with pytest.raises(ValueError, match="number"):
        read_answer(NUMBER, PREFIX + json.dumps(ANSWER | {"leaf": leaf}).encode())


def test_names_cross_in_part():
    names = tuple(f"{number}.example" for number in range(14_000))
    leaf = replace(OPENED.leaf, facts=replace(OPENED.leaf.facts, subject_alternative_names=names))
    answer = write_answer(NUMBER, replace(OPENED, leaf=leaf))
    facts = read_answer(NUMBER, answer[4:]).leaf.facts

    assert len(answer) < 10_000
    assert facts.subject_alternative_names == names[:100]
    assert facts.names_total == 14_000
