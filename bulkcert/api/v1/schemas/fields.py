# ruff: noqa: ANN401, ARG002 - these are the signatures of marshmallow
"""Strict marshmallow fields: no numbers for strings, and one spelling for each value."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from marshmallow import ValidationError, fields, validate

from bulkcert.api import context
from bulkcert.api.parsing import MOST_FAULTS
from bulkcert.errors import TooManyEntries
from bulkcert.values.identities import IdentityType
from bulkcert.values.secret import Secret

MOST_IN_PAGE = 1000

_LIMIT = re.compile(r"[1-9][0-9]{0,3}")


class Text(fields.String):
    """A string of `least` to `most` characters without NUL, which PostgreSQL cannot store."""

    def __init__(self, *, least: int = 1, most: int = 255, **rest: Any) -> None:
        no_nul = validate.ContainsNoneOf("\x00", error="It holds a NUL.")
        super().__init__(validate=[validate.Length(least, most), no_nul], **rest)


class Password(fields.String):
    """A string that becomes a `Secret`, which never prints."""

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **rest: Any
    ) -> Secret:
        return Secret(super()._deserialize(value, attr, data, **rest).encode())


class IdentityTypeName(fields.String):
    """The name of an identity type. Raises `UnknownIdentityType` instead of a fault of validation."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **rest: Any
    ) -> IdentityType:
        return IdentityType.parse(super()._deserialize(value, attr, data, **rest))


class PageLimit(fields.String):
    """The size of a page: 1 to 1,000 in plain digits."""

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **rest: Any
    ) -> int:
        written = super()._deserialize(value, attr, data, **rest)
        if not _LIMIT.fullmatch(written) or int(written) > MOST_IN_PAGE:
            raise ValidationError(f"Must be a number from 1 to {MOST_IN_PAGE}.")
        return int(written)


class Switch(fields.Field[bool]):
    """A switch, off by default: a JSON boolean, or the text true or false if `as_text`."""

    def __init__(self, *, as_text: bool = False, **rest: Any) -> None:
        super().__init__(load_default=False, **rest)
        self._off: object = "false" if as_text else False
        self._on: object = "true" if as_text else True

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **rest: Any) -> bool:
        if type(value) is not type(self._on) or value not in (self._off, self._on):  # 1 == True in Python
            raise ValidationError("Must be true or false.")
        return bool(value == self._on)


class Timestamp(fields.Field[datetime]):
    """A point in time, written in UTC as RFC 3339."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **rest: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class RateByNow(fields.Field[float]):
    """A rate per second with one decimal; the attribute is a method that takes the current time."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> float | None:
        rate: float | None = value(context.service().now())
        return None if rate is None else round(rate, 1)


class EstimateByNow(Timestamp):
    """A point in the future; the attribute is a method that takes the current time."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> str | None:
        estimate: datetime | None = None
        with suppress(OverflowError):  # the estimate lies after the year 9999
            estimate = value(context.service().now())
        return super()._serialize(estimate, attr, obj, **rest)


class Names(fields.Field[list[str]]):
    """A list of texts of at most 4,096 characters each; only the first `MOST_FAULTS` faults are reported."""

    _MOST = 4096
    _WRONG = "Not a text of at most 4096 characters without a NUL."

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **rest: Any
    ) -> list[str]:
        most = context.service().limits.entries
        if not isinstance(value, list):
            raise ValidationError("Not a list.")
        if len(value) > most:
            raise TooManyEntries(f"The list has more than {most} names.")
        wrong = (number for number, name in enumerate(value) if not self._is_name(name))
        if faults := {number: [self._WRONG] for number in islice(wrong, MOST_FAULTS)}:
            raise ValidationError(faults)
        return value

    def _is_name(self, name: object) -> bool:
        return isinstance(name, str) and len(name) <= self._MOST and "\x00" not in name
