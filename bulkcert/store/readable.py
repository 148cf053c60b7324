"""Rows with an unknown value: altered rows, or rows of a later release.

Each is refused by itself (`ForgedRows`); lists leave it out, and a log line names it.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy.engine import Row

from bulkcert.errors import ForgedRows, PolicyRefused

P = ParamSpec("P")
R = TypeVar("R", bound="Row[*tuple[Any, ...]]")
T = TypeVar("T")
Read = Callable[Concatenate[R, P], T]
"""A function that returns the value of a row."""

log = structlog.get_logger()

_UNKNOWN = (ValueError, TypeError, KeyError, PolicyRefused)
"""Raised for an unknown word, broken JSON, JSON of another form, and a policy against the rules."""


def refuse_unknown(kind: str) -> Callable[[Read[R, P, T]], Read[R, P, T]]:
    """Return a decorator for functions that read a row: unknown values raise `ForgedRows`.

    kind: the name of such rows; the first column of a row is its id.
    """

    def decorate(read: Read[R, P, T]) -> Read[R, P, T]:
        @wraps(read)
        def read_or_refuse(row: R, /, *rest: P.args, **named: P.kwargs) -> T:
            try:
                return read(row, *rest, **named)
            except _UNKNOWN:
                raise ForgedRows(f"{kind} {row[0]}") from None

        return read_or_refuse

    return decorate


def readable(read: Read[R, P, T], row: R, *rest: P.args, **named: P.kwargs) -> T | None:
    """Return the value of a row; None, with a log line, if it is refused."""
    try:
        return read(row, *rest, **named)
    except ForgedRows as refusal:
        log.critical("a row was altered by hand", code=refusal.code, row=refusal.detail)
        return None


def all_readable(
    read: Read[R, P, T], rows: Iterable[R], *rest: P.args, **named: P.kwargs
) -> list[T]:  # fmt: skip
    """Return the values of rows, without those that are refused."""
    found = (readable(read, row, *rest, **named) for row in rows)
    return [value for value in found if value is not None]
