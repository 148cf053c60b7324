"""Pages of listings, bounded in rows and in bytes, and cursors: opaque words that say where one goes on."""

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
"""Bytes of JSON in a page, about. Ordinary items are under 2 KiB, so that a thousand of them fit."""

MEMBERS_BYTES = 1024
"""Bytes of an item besides its texts: member names, numbers and times."""


def page(
    found: Iterable[tuple[str | int, int, T | None]], limit: int, most_bytes: int = PAGE_BYTES
) -> Page[T]:
    """Return a page of up to `limit` items, or of as many as take `most_bytes`, but of one at least.

    found: key, size in bytes and item of each row from the page's first on, up to `limit + 1` of them. No
    more are taken than the page needs, so that rows may be read while it is filled. A row whose item is None
    counts to the limit and is not shown.
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
    """Return about how many bytes a row takes as an item of JSON: quotes may take as much again."""
    text = "".join([value for value in row if isinstance(value, str)])
    is_plain = text.isascii() and text.isprintable()
    return MEMBERS_BYTES + (len(text) if is_plain else len(json.dumps(text)))


def _write(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_text(cursor: str) -> str:
    """Read the key in a cursor, or raise `MalformedRequest`."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error):
        raise MalformedRequest("The cursor is not one that this service gave.") from None


def read_number(cursor: str, most: int = 10**18 - 1) -> int:
    """Read the number in a cursor, or raise `MalformedRequest`; most: what its column holds."""
    text = read_text(cursor)
    if not (text.isdigit() and len(text) <= 18 and int(text) <= most):
        raise MalformedRequest("The cursor is not one that this service gave.")
    return int(text)
