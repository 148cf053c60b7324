"""Checks of the head of a request: limits for its parts, and exactly one host."""

from typing import TYPE_CHECKING

from flask import Flask, request

from bulkcert.errors import Fault, HeadTooLarge, MalformedRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MOST_FIELD_BYTES = 8 * 1024
"""Limit for each header field, the path and the query; RFC 9110 §4.1 recommends 8,000 bytes for a URI."""

MOST_HEAD_BYTES = 32 * 1024
"""Limit for the whole head."""

_WITHOUT_PREFIX = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "QUERY_STRING"})
"""Parts of the head whose WSGI names (PEP 3333) do not begin with HTTP_."""


def install(app: Flask) -> None:
    """Check the heads of an app's requests before any other part of the app reads them."""
    app.before_request(_check_sizes)
    app.before_request(_check_host)


def is_too_large(environ: "WSGIEnvironment") -> bool:
    """Return whether a part of a request's head, or the whole head, is too long."""
    total = 0
    for name, value in environ.items():
        if name.startswith("HTTP_") or name in _WITHOUT_PREFIX:
            total += len(name) + len(value)
            if len(value) > MOST_FIELD_BYTES or total > MOST_HEAD_BYTES:
                return True
    return False


def _check_sizes() -> None:
    """Raise `HeadTooLarge` if a part of the head, or the whole head, is too long."""
    if is_too_large(request.environ):
        raise HeadTooLarge(
            f"A header field, the path or the query has more than {MOST_FIELD_BYTES} bytes, or all of"
            f" them together more than {MOST_HEAD_BYTES}."
        )


def _check_host() -> None:
    """Raise `MalformedRequest` unless the request has one Host header (RFC 9112 §3.2).

    HTTP/1.0 had no such header, and health checks of proxies still send that version without one. The server
    joins repeated headers with a comma.
    """
    host = request.environ.get("HTTP_HOST", "").strip()
    is_needed = request.environ.get("SERVER_PROTOCOL") not in {"HTTP/1", "HTTP/1.0"}
    if "," in host:
        raise MalformedRequest("The request names more than one host.", (Fault("Host", "Send it once."),))
    if is_needed and not host:
        raise MalformedRequest("The request names no host.", (Fault("Host", "HTTP/1.1 needs it."),))
