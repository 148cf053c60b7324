"""When a process is to stop, and the loop that it leaves then."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

import structlog

from bulkcert.errors import StorageFull, Unavailable

log = structlog.get_logger()

_IDLE_SECONDS = 1.0
"""The longest time between two looks for work: notice wakes earlier, and SQLite is polled more often."""

DATABASE_SECONDS = 2.0
"""Between two tries where the database cannot be written for the moment."""


def work_until(
    stopping: Callable[[], bool],
    work_once: Callable[[], bool],
    rest: Callable[[float], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Work, and look for work where there is none, until `stopping` says so between two chunks.

    rest: waits for work, at most as many seconds as it is told. sleep: waits while the database is away.
    """
    while not stopping():
        try:
            if not work_once():
                rest(_IDLE_SECONDS)
        except (Unavailable, StorageFull) as refusal:
            log.warning("the database cannot be used for the moment", code=refusal.code)
            sleep(DATABASE_SECONDS)


class Stopping:
    """Whether this process is to stop: it was asked to, or the process that started it is gone.

    A plain flag: a signal may come while the main thread is inside a lock of `threading`.
    """

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __call__(self) -> bool:
        """Return whether it is."""
        return self._asked or (self._parent is not None and os.getppid() != self._parent)
