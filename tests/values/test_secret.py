"""A Secret never prints."""

import copy
import json
import pickle

import pytest

from bulkcert.values.secret import Secret

CANARY = Secret(b"canary-4711")


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r}".format, "{:>20}".format, lambda s: f"{s}", lambda s: "%s" % s]
)
def test_no_way_of_printing_shows_it(show: object) -> None:
    assert "4711" not in show(CANARY)  # type: ignore[operator]


@pytest.mark.parametrize("write", [json.dumps, pickle.dumps, copy.deepcopy])
def test_it_is_not_written_by_accident(write: object) -> None:
    with pytest.raises(TypeError) as refusal:
        write(CANARY)  # type: ignore[operator]

    assert "4711" not in str(refusal.value)


def test_it_is_compared_by_content_and_cannot_be_a_key() -> None:
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"
    with pytest.raises(TypeError):
        {CANARY: 1}


def test_an_empty_one_is_still_there() -> None:
    assert Secret(b"")
    assert len(Secret(b"")) == 0
