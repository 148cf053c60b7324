"""What the files of an import may cost, taken together, and what opening some of them did cost."""

from collections.abc import Callable
from dataclasses import dataclass

from bulkcert.errors import OverBudget
from bulkcert.values.limits import Limits

SLICE_SECONDS = 2.0
"""A chunk that would take longer with one more file is given back, so that others have their turn."""

MOST_TOO_COSTLY_IN_TURN = 3
"""An import with so many files that ran into the limit for one file goes to the end of the queue."""

MOST_TOO_COSTLY = 20
"""With so many, its other files are not opened any more."""


@dataclass(frozen=True)
class Cost:
    """What opening files of a chunk took. too_costly: how many ran into the limit of time for one file."""

    chunk_id: int
    import_id: str
    requested_by: str
    seconds: float
    too_costly: int = 0

    @property
    def milliseconds(self) -> int:
        """Return the time as it is kept, at least 1, because nothing is for nothing."""
        return max(1, round(self.seconds * 1000))


@dataclass(frozen=True)
class Account:
    """How an import stands. used_seconds and too_costly: what its files took so far (see `Cost`)."""

    requested_by: str
    files: int
    used_seconds: float = 0.0
    too_costly: int = 0
    is_cancelled: bool = False

    def over_budget(self, limits: Limits) -> OverBudget | None:
        """Return why no more files of the import are opened; None where some may be."""
        seconds = limits.import_cpu_seconds + limits.import_cpu_seconds_per_file * self.files
        if self.used_seconds >= seconds:
            return OverBudget(f"The import has used up its {seconds:,} seconds of processor time.")
        if self.too_costly >= MOST_TOO_COSTLY:
            return OverBudget(f"{MOST_TOO_COSTLY} files of the import took too long to open.")
        return None


class Meter:
    """The time that opening takes from now on: the processor's, or half of the elapsed time if that is more.

    A child that only waits holds its worker too. Half, because other processes may have the processor.
    """

    def __init__(self, cpu_seconds: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self._cpu_seconds = cpu_seconds
        self._elapsed = elapsed
        self._cpu_start, self._start = cpu_seconds(), elapsed()

    def seconds(self) -> float:
        """Return what was used so far."""
        used = self._cpu_seconds() - self._cpu_start
        return max(used, (self._elapsed() - self._start) / 2)
