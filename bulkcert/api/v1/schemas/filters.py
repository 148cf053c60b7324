# ruff: noqa: ANN401 - these are the signatures of marshmallow
"""Marshmallow fields for the filters of lists and reports."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from bulkcert import errors
from bulkcert.errors import ItemRefusal

ITEM_CODES = tuple(
    sorted(
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ItemRefusal) and kind is not ItemRefusal
    )
)
"""The codes of all reasons why an item can fail."""

# RFC 3339 §5.6: a date-time, or a full-date alone; `fromisoformat` accepts many other forms.
_MOMENT = re.compile(
    r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31}")


class ItemCode(fields.String):
    """The code of a failed item. An unknown code is refused, since it is probably misspelt."""

    def __init__(self, **rest: Any) -> None:
        known = validate.OneOf(ITEM_CODES, error="It is no code that an item can have.")
        super().__init__(validate=known, **rest)


class Moment(fields.String):
    """An RFC 3339 date-time, or a date for its midnight in UTC. Becomes a datetime in UTC."""

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **rest: Any
    ) -> datetime:
        written = super()._deserialize(value, attr, data, **rest)
        if not _MOMENT.fullmatch(written):
            raise ValidationError("Must be 2027-01-31 or 2027-01-31T12:00:00Z (a + is written %2B in a URL).")
        try:
            moment = datetime.fromisoformat(written.upper())
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise ValidationError("There is no such date or time.") from None


class Fingerprint(fields.String):
    """A SHA-256 fingerprint in hex of either case, with or without colons. Becomes 64 lower-case digits."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **rest: Any
    ) -> str:  # fmt: skip
        written: str = super()._deserialize(value, attr, data, **rest)
        if not _FINGERPRINT.fullmatch(written):
            raise ValidationError("Must be 64 hexadecimal digits, with or without colons.")
        return written.replace(":", "").lower()
