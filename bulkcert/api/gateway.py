"""The gateway between server and app: an ASGI application that calls a WSGI application in threads.

A request takes a thread when its head and its body have arrived, or its head only if a view reads the body
while it arrives (`streaming`). The reasons are in docs/decisions/0031-bodies-have-deadlines.md.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from bulkcert.api.bodies import Body, Pace, Receive
from bulkcert.capacity.slots import Slots

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]

THREADS = 512
"""Each request holds a thread while its view runs, its upload arrives or its long answer is sent."""

MOST_HELD_BYTES = 1024 * 1024 + 1
"""Bytes of a body received before it takes a thread: one more than any view reads of such a body."""

_HELD_BYTES, _HELD_BYTES_OF_SOURCE = 64 * 1024**2, 16 * 1024**2
"""Bytes of all such bodies, in all and from one address."""

_PIECE_BYTES = 64 * 1024
"""A longer answer is sent in pieces while it is made."""

_DISCARD_SECONDS = 3.0
"""Clients that send a body without `Expect: 100-continue` (RFC 9110 §10.1.1) read the answer after the whole
body, and see a broken connection if the server closes it earlier."""


class Gateway:
    """Answers with `app`. is_streamed: whether a view reads the body of a request while it arrives.

    source_of: returns the client's address.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        is_streamed: "Callable[[WSGIEnvironment], bool]",
        source_of: "Callable[[WSGIEnvironment], str]",
        pace: Pace,
    ) -> None:
        self._app = app
        self._is_streamed = is_streamed
        self._source_of = source_of
        self._pace = pace
        self._room = Slots(_HELD_BYTES, _HELD_BYTES_OF_SOURCE)
        self._threads = ThreadPoolExecutor(THREADS, "request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        environ = environ_of(scope)
        body = environ["wsgi.input"] = Body(receive, self._pace)
        owner, held = "", 0
        if _has_body(environ) and not self._is_streamed(environ):
            owner = self._source_of(environ)
            held = await body.hold(MOST_HELD_BYTES, self._room, owner)
        try:
            if not body.is_lost:
                await self._answer(environ, body, send)
        finally:
            if held:
                self._room.give_back(owner, held)

    async def _answer(self, environ: "WSGIEnvironment", body: Body, send: Send) -> None:
        answer = _Answer(body, send)
        loop = asyncio.get_running_loop()
        try:
            rest = await loop.run_in_executor(self._threads, answer.make, self._app, environ)
        finally:
            await answer.end()
        if answer.is_refusal and _has_body(environ) and not body.is_received and "HTTP_EXPECT" not in environ:
            # Without its last byte: the server may close the connection when the answer is complete.
            await answer.send(rest[:-1], is_last=False)
            await body.discard(_DISCARD_SECONDS)
            rest = rest[-1:]
        await answer.send(rest, is_last=True)


class _Answer:
    """An answer on its way out. `make` is for a thread, everything else for the event loop."""

    def __init__(self, body: Body, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._send = send
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._is_begun = False
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_refusal(self) -> bool:
        """Return whether the status is that of a refusal or a fault."""
        return self._status >= 400

    def make(self, app: "WSGIApplication", environ: "WSGIEnvironment") -> bytes:
        """Call the app, send all full pieces of its answer, and return the rest."""
        made = app(environ, self._start)
        try:
            rest = b""
            for piece in _joined(made):
                if (
                    rest
                    and not asyncio.run_coroutine_threadsafe(self._send_watched(rest), self._loop).result()
                ):
                    return b""
                rest = piece
            return rest
        finally:
            if (close := getattr(made, "close", None)) is not None:
                close()

    def _start(
        self, status: str, headers: list[tuple[str, str]], _failure: object = None, /
    ) -> Callable[[bytes], object]:
        self._status = int(status.partition(" ")[0])
        self._headers = headers
        return _refuse_write

    async def _send_watched(self, piece: bytes) -> bool:
        """Send a piece, and return whether the client is still connected."""
        if self._watching is None:
            self._watching = self._loop.create_task(self._body.wait_until_lost())
        await self.send(piece, is_last=False)
        return not self._watching.done()

    async def send(self, piece: bytes, *, is_last: bool) -> None:
        """Send a piece; the first one follows the head."""
        if not self._is_begun:
            self._is_begun = True
            headers = [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self._headers
            ]
            await self._send({"type": "http.response.start", "status": self._status, "headers": headers})
        await self._send({"type": "http.response.body", "body": piece, "more_body": not is_last})

    async def end(self) -> None:
        """Stop receiving."""
        if self._watching is not None:
            self._watching.cancel()
        await self._body.stop()


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces so that all but the last have at least `_PIECE_BYTES` bytes."""
    joined = bytearray()
    for piece in pieces:
        joined += piece
        if len(joined) >= _PIECE_BYTES:
            yield bytes(joined)
            joined.clear()
    yield bytes(joined)


def _refuse_write(_content: bytes) -> object:
    raise NotImplementedError("answers are iterables")


def _has_body(environ: "WSGIEnvironment") -> bool:
    return environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ


def environ_of(scope: Scope) -> "WSGIEnvironment":
    """Return the WSGI environment of a request (PEP 3333). Repeated headers are joined by a comma.

    A header value outside of ASCII becomes empty.
    """
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,  # Werkzeug's: the end of the input is that of the body
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            name = f"HTTP_{name}"
        value = raw_value.decode("ascii") if raw_value.isascii() else ""
        if name in environ:
            value = environ[name] + (";" if name == "HTTP_COOKIE" else ",") + value
        environ[name] = value
    return environ
