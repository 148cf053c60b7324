"""Bodies of requests: received by the event loop, read by a view in its thread, within a time limit.

A body starts with a number of seconds. Each byte beyond the first 64 KiB earns more time by the minimum rate,
up to the same number again. So a small body must arrive within these seconds, and a long one must keep
arriving; time in which the view does not read is not counted.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bulkcert.capacity.slots import Slots
from bulkcert.errors import BodyTooSlow, MalformedRequest, Refusal, Unavailable

Receive = Callable[[], Awaitable[dict[str, Any]]]
"""Returns the next message of an ASGI server about a request."""

SMALL_BYTES = 64 * 1024
"""Bytes of a body that earn no time."""

_AHEAD_BYTES = 256 * 1024
"""Bytes received ahead of the view."""

_JOINED_BYTES = 4 * 1024
"""Pieces are joined up to this size, since each takes about 50 bytes of memory beside its content."""

_UNCOUNTED_BYTES = 4 * 1024
"""Bytes of each held body that need no room, so that a login always fits."""

_LOST_SECONDS = 30.0
"""Seconds beyond the time of the body after which a thread takes the event loop for dead."""


@dataclass(frozen=True)
class Pace:
    """The minimum speed of bodies. seconds: at the start. rate: bytes a second beyond the first 64 KiB."""

    seconds: float
    rate: int


class Body:
    """The body of a request; `read` is for one thread, everything else for the event loop.

    The event loop receives it while a view reads it. A client that sent `Expect: 100-continue` (RFC 9110
    §10.1.1) gets its 100 when the view begins to read.
    """

    def __init__(self, receive: Receive, pace: Pace) -> None:
        self._receive = receive
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._seconds_left = pace.seconds
        self._total = 0
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._begun = 0  # bytes of the first piece that were read
        self._waiting = 0  # bytes that were received and not read
        self._is_whole = False
        self._failure: Callable[[], Refusal] | None = None
        self._wanted = asyncio.Event()
        self._receiving: asyncio.Task[None] | None = None

    # --- in the thread of a view -------------------------------------------------------------------------

    def read(self, size: int | None = -1) -> bytes:
        """Return the next `size` bytes, fewer only at the end; the whole rest for None or a negative size.

        Raises `BodyTooSlow`, `MalformedRequest` if the body breaks off, or `Unavailable` if no room is left.
        """
        most = None if size is None or size < 0 else size
        found: list[bytes] = []
        while (most is None or most > 0) and (piece := self._take(most)):
            found.append(piece)
            most = None if most is None else most - len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def _take(self, most: int | None) -> bytes:
        """Return the next piece, of at most `most` bytes; empty only at the end."""
        with self._changed:
            if self._waiting < SMALL_BYTES and not self._is_ended():
                self._loop.call_soon_threadsafe(self._go_on)
            if not self._changed.wait_for(self._has_some, self._pace.seconds + _LOST_SECONDS):
                raise _too_slow()
            if not self._pieces and self._failure is not None:
                raise self._failure()
            return self._cut(most) if self._pieces else b""

    def _cut(self, most: int | None) -> bytes:
        """Remove and return the first piece, or its next `most` bytes; a whole piece is not copied."""
        first = self._pieces[0]
        end = len(first) if most is None else min(len(first), self._begun + most)
        piece = first[self._begun : end]
        self._waiting -= len(piece)
        self._begun = end
        if end == len(first):
            self._pieces.popleft()
            self._begun = 0
        return piece

    def _has_some(self) -> bool:
        return bool(self._pieces) or self._is_ended()

    def _is_ended(self) -> bool:
        return self._is_whole or self._failure is not None

    # --- in the event loop -------------------------------------------------------------------------------

    async def hold(self, most: int, room: Slots, owner: str) -> int:
        """Receive up to `most` bytes of the body, and return how many bytes of `room` were taken."""
        held = 0
        while self._waiting < most and not self._is_ended():
            await self._receive_piece()
            wanted = max(0, self._waiting - _UNCOUNTED_BYTES) - held
            if wanted and not room.take(owner, amount=wanted):
                self._end(lambda: Unavailable("Too many requests are being sent at this moment."))
            elif wanted:
                held += wanted
        return held

    @property
    def is_received(self) -> bool:
        """Return whether the whole body was received."""
        return self._is_whole

    @property
    def is_lost(self) -> bool:
        """Return whether the client closed the connection."""
        return self._failure is _broken_off

    async def stop(self) -> None:
        """Stop receiving."""
        if self._receiving is not None:
            self._receiving.cancel()
            with suppress(asyncio.CancelledError):
                await self._receiving
            self._receiving = None

    async def discard(self, seconds: float) -> None:
        """Receive and discard the rest for at most `seconds`."""
        await self.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_ended():
                    self._note(await self._receive())
                    self._forget()

    def _forget(self) -> None:
        with self._changed:
            self._pieces.clear()
            self._begun = self._waiting = 0

    async def wait_until_lost(self) -> None:
        """Discard all further bytes, and return when the client is gone or has its whole answer."""
        await self.stop()
        while (await self._receive())["type"] == "http.request":
            pass

    def _go_on(self) -> None:
        self._wanted.set()
        if self._receiving is None:
            self._receiving = self._loop.create_task(self._receive_while_wanted())

    async def _receive_while_wanted(self) -> None:
        while not self._is_ended():
            if self._waiting >= _AHEAD_BYTES:
                self._wanted.clear()
                await self._wanted.wait()
            await self._receive_piece()

    async def _receive_piece(self) -> None:
        began = self._loop.time()
        try:
            async with asyncio.timeout(self._seconds_left):
                message = await self._receive()
        except TimeoutError:
            self._end(_too_slow)
            return
        self._note(message)
        earned = max(0, min(len(message.get("body", b"")), self._total - SMALL_BYTES)) / self._pace.rate
        left = self._seconds_left - (self._loop.time() - began) + earned
        self._seconds_left = max(0.0, min(self._pace.seconds, left))

    def _note(self, message: dict[str, Any]) -> None:
        if message["type"] != "http.request":
            self._end(_broken_off)
            return
        body = message["body"]
        with self._changed:
            if self._pieces and len(self._pieces[-1]) + len(body) <= _JOINED_BYTES:
                self._pieces[-1] += body
            elif body:
                self._pieces.append(body)
            self._waiting += len(body)
            self._total += len(body)
            self._is_whole = not message["more_body"]
            self._changed.notify()

    def _end(self, failure: Callable[[], Refusal]) -> None:
        with self._changed:
            self._failure = failure
            self._changed.notify()


def _too_slow() -> Refusal:
    return BodyTooSlow("The body did not come fast enough.")


def _broken_off() -> Refusal:
    return MalformedRequest("The body ended too early.")
