"""Slots are counted in all and by owner."""

import threading

import pytest

from bulkcert.capacity.slots import Slots


class RefusedError(Exception):
    """What a caller raises."""


def test_an_owner_and_all_together_hold_so_many() -> None:
    slots = Slots(most=3, most_of_owner=2)

    assert [slots.take(owner) for owner in "aaabb"] == [True, True, False, True, False]
    slots.give_back("a")
    assert [slots.take(owner) for owner in "bc"] == [True, False]


def test_a_slot_is_given_back_after_a_fault() -> None:
    slots = Slots(most=1, most_of_owner=1)
    with pytest.raises(ZeroDivisionError), slots.hold("a", RefusedError()):
        with pytest.raises(RefusedError), slots.hold("b", RefusedError()):
            pass
        _ = 1 / 0

    assert slots.take("b")


def test_a_slot_that_becomes_free_is_taken_by_those_who_wait() -> None:
    slots = Slots(most=1, most_of_owner=1)
    slots.take("a")
    threading.Timer(0.05, slots.give_back, ["a"]).start()

    assert slots.take("b", seconds=30)
    assert not slots.take("c", seconds=0.01)
