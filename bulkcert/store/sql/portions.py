"""Long lists of values, cut for `IN`: every engine has a limit of its own for one statement."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE = 500


def portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Give the values in portions of at most 500."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
