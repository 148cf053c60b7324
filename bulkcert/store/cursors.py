"""Cursors: an opaque word that says where a listing goes on."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from bulkcert.errors import MalformedRequest
from bulkcert.reports import Page

T = TypeVar("T")


def page(found: Sequence[tuple[str | int, T]], limit: int) -> Page[T]:
    """Make a page of `limit` out of up to `limit + 1` found (key, item) pairs."""
    shown = found[:limit]
    more = len(found) > limit
    return Page(tuple(item for _, item in shown), _write(str(shown[-1][0])) if more else None)


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
