"""What has to happen around Flask, in WSGI itself: an upload that was refused is read on for a while."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

_DRAIN_SECONDS = 3.0
_DRAIN_BLOCK_BYTES = 64 * 1024
_MOST_AT_ONCE = 32
"""A client that stalls holds a thread while it is drained, and it may be anybody's: these are all it gets."""

_seats = threading.BoundedSemaphore(_MOST_AT_ONCE)


class Drain:
    """Goes on reading an upload for a few seconds after it was refused.

    Clients that send a body without asking first (Expect: 100-continue, RFC 9110 §10.1.1) read the answer
    when they have sent it all, and see a broken connection where the server closes before that.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer as the app does; where that is no, read on."""
        if not _sends_unasked(environ):
            return self._app(environ, start_response)
        statuses: list[str] = []

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            statuses.append(status)
            return start_response(status, headers, exc_info)

        answer = self._app(environ, start)
        if not statuses or statuses[-1] < "4":
            return answer
        return _Drained(answer, environ["wsgi.input"])


def _sends_unasked(environ: "WSGIEnvironment") -> bool:
    has_body = environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ
    return has_body and "wsgi.input_terminated" in environ and "HTTP_EXPECT" not in environ


class _Drained:
    """An answer, and the rest of the body behind it."""

    def __init__(self, answer: Iterable[bytes], body: "InputStream") -> None:
        self._answer = answer
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer
        if not _seats.acquire(blocking=False):
            return
        try:
            self._read_on()
        finally:
            _seats.release()

    def _read_on(self) -> None:
        end = time.monotonic() + _DRAIN_SECONDS
        while self._body.read(_DRAIN_BLOCK_BYTES) and time.monotonic() < end:
            pass

    def close(self) -> None:
        """Close the answer, as WSGI (PEP 3333) asks for."""
        close = getattr(self._answer, "close", None)
        if close is not None:
            close()
