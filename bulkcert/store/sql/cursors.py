"""Pages of lists, limited in rows and in bytes, and cursors: opaque texts that name the next page."""

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy.engine import Row

from bulkcert.errors import MalformedRequest
from bulkcert.values.pages import Page

T = TypeVar("T")

PAGE_BYTES = 4 * 1024**2
"""Approximate limit of a page in bytes of JSON. A thousand ordinary items, of under 2 KiB each, fit."""

MEMBERS_BYTES = 1024
"""Bytes of an item without its texts: member names, numbers and times."""


def page(
    found: Iterable[tuple[str | int, int, T | None]], limit: int, most_bytes: int = PAGE_BYTES
) -> Page[T]:
    """Return a page of up to `limit` items and up to `most_bytes`, but of at least one item.

    Args:
        found: key, size in bytes and item of each row from the first of the page on, up to `limit + 1` rows.
            No more are consumed than the page needs, so that rows may be read while it is filled. A row whose
            item is None counts towards the limit and is not shown.
        limit: the most items.
        most_bytes: the most bytes.
    """
    shown: list[T] = []
    last: str | int = ""
    taken = 0
    for number, (key, size, item) in enumerate(found):
        taken += size
        if number == limit or (shown and taken > most_bytes):
            return Page(tuple(shown), _write(str(last)))
        if item is not None:
            shown.append(item)
        last = key
    return Page(tuple(shown), None)


def size_of(row: Row[Any]) -> int:
    """Return the approximate size of a row as an item of JSON, in bytes."""
    text = "".join([value for value in row if isinstance(value, str)])
    is_plain = text.isascii() and text.isprintable()
    return MEMBERS_BYTES + (len(text) if is_plain else len(json.dumps(text)))


def _write(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_text(cursor: str) -> str:
    """Return the key in a cursor, or raise `MalformedRequest`."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error):
        raise MalformedRequest("The cursor is not one that this service gave.") from None


def read_number(cursor: str, most: int = 10**18 - 1) -> int:
    """Return the number in a cursor, or raise `MalformedRequest`. most: the greatest of its column."""
    text = read_text(cursor)
    if not (text.isdigit() and len(text) <= 18 and int(text) <= most):
        raise MalformedRequest("The cursor is not one that this service gave.")
    return int(text)
