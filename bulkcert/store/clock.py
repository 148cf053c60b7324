"""The clock of this machine, which a store without a clock of its own database uses."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.now(UTC)
