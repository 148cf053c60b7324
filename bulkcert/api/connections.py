"""Keep-alive: when the server closes an idle connection, and which answers close theirs."""

from flask import Flask, Response

IDLE_SECONDS = 10
"""The server closes a connection after this time without a request (`processes/server.py`)."""

MOST_WAIT_SECONDS = IDLE_SECONDS // 2
"""A client that waits longer than this may send its next request while the server closes the connection."""


def install(app: Flask) -> None:
    """Close the connection after each answer with a long `Retry-After`."""
    app.after_request(_close_before_long_wait)


def _close_before_long_wait(response: Response) -> Response:
    """Announce the end of the connection (RFC 9112 §9.6) if the client is asked to wait too long for it."""
    seconds = response.headers.get("Retry-After", "0")
    if int(seconds) > MOST_WAIT_SECONDS:
        response.headers["Connection"] = "close"
    return response
