"""A store tries a transaction again where others wrote the same rows."""

import pytest

from bulkcert.errors import Contended
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction


class Act:
    """Meets others a number of times, then returns its number of calls."""

    def __init__(self, meetings: int) -> None:
        self.meetings = meetings
        self.calls = 0

    def __call__(self, _tx: Transaction) -> int:
        self.calls += 1
        if self.calls <= self.meetings:
            raise Contended("Others wrote the same rows.")
        return self.calls


@pytest.mark.parametrize(("meetings", "attempts"), [(0, 1), (0, 3), (1, 3), (2, 3)])
def test_what_meets_others_is_tried_again(store: Store, meetings: int, attempts: int) -> None:
    assert store.write(Act(meetings), attempts) == meetings + 1


@pytest.mark.parametrize("attempts", [1, 3])
def test_it_is_not_tried_for_ever(store: Store, attempts: int) -> None:
    act = Act(10)
    with pytest.raises(Contended):
        store.write(act, attempts)

    assert act.calls == attempts
