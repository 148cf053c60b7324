"""Slots: how many of something may be held at the same time, in all and by each owner."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """Counts what is held in this process. most: in all. most_of_owner: by one owner."""

    def __init__(self, most: int, most_of_owner: int) -> None:
        self._most = most
        self._most_of_owner = most_of_owner
        self._condition = threading.Condition()
        self._held: Counter[str] = Counter()

    def take(self, owner: str, seconds: float = 0, amount: int = 1) -> bool:
        """Take slots for an owner, waiting for them at most so long; return whether there were so many."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._is_free(owner, amount), seconds):
                return False
            self._held[owner] += amount
            return True

    def give_back(self, owner: str, amount: int = 1) -> None:
        """Give back slots that were taken."""
        with self._condition:
            self._held[owner] -= amount
            if not self._held[owner]:
                del self._held[owner]
            self._condition.notify_all()

    @contextmanager
    def hold(self, owner: str, refusal: Exception, seconds: float = 0) -> Iterator[None]:
        """Hold a slot; raise `refusal` where none is free within the seconds."""
        if not self.take(owner, seconds):
            raise refusal
        try:
            yield
        finally:
            self.give_back(owner)

    def _is_free(self, owner: str, amount: int) -> bool:
        is_free_for_owner = self._held[owner] + amount <= self._most_of_owner
        return is_free_for_owner and self._held.total() + amount <= self._most
