"""Connections that stay open between requests: when the server closes them, and when an answer does."""

from flask import Flask, Response

IDLE_SECONDS = 10
"""The server closes a connection on which no request begins for so long (`processes/server.py`)."""

MOST_WAIT_SECONDS = IDLE_SECONDS // 2
"""A client that waits longer on an open connection may send into it while the server closes it."""


def install(app: Flask) -> None:
    """Let answers that ask for a long wait close their connection."""
    app.after_request(_close_before_long_wait)


def _close_before_long_wait(response: Response) -> Response:
    """Announce the end of the connection (RFC 9112 §9.6) where the client is asked to wait for long."""
    seconds = response.headers.get("Retry-After", "0")
    if int(seconds) > MOST_WAIT_SECONDS:
        response.headers["Connection"] = "close"
    return response
