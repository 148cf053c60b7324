"""A body is received by the event loop and read in a thread, and it has its time."""

import asyncio
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from bulkcert.api import bodies
from bulkcert.api.bodies import Body, Pace
from bulkcert.capacity.slots import Slots
from bulkcert.errors import BodyTooSlow, MalformedRequest, Refusal, Unavailable

KIB = 1024
GONE = {"type": "http.disconnect"}
PACE = Pace(0.3, 1000 * KIB)

Step = tuple[float, dict[str, Any]]
"""Seconds before a message, and the message."""


def piece(content: bytes, *, is_last: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": not is_last}


class Client:
    """Sends messages, each after some time, and then nothing more."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = iter(steps)
        self.sent = 0

    async def receive(self) -> dict[str, Any]:
        step = next(self._steps, None)
        if step is None:
            await asyncio.sleep(3600)
        assert step is not None
        await asyncio.sleep(step[0])
        self.sent += 1
        return step[1]


def read(steps: Iterable[Step], pace: Pace = PACE, size: int = -1) -> bytes:
    """Read a body in a thread, as a view does."""

    async def run() -> bytes:
        body = Body(Client(steps).receive, pace)
        try:
            return await asyncio.to_thread(body.read, size)
        finally:
            await body.stop()

    return asyncio.run(run())


def test_a_body_is_read_whole() -> None:
    parts = [(0.0, piece(bytes([number]) * 50 * KIB, is_last=number == 19)) for number in range(20)]

    assert read(parts) == b"".join(bytes([number]) * 50 * KIB for number in range(20))


def test_as_much_is_read_as_was_asked_for() -> None:
    assert read([(0, piece(b"ab")), (0, piece(b"cd"))], size=3) == b"abc"


@pytest.mark.parametrize("sizes", [[1], [3, 5000, 1], [70_000, 2], [4096, 4096, 1, 4095]])
@pytest.mark.parametrize("size", [997, 4096, 5000, 100_000])
def test_pieces_of_any_size_are_read_in_parts_of_any_size(sizes: list[int], size: int) -> None:
    contents = [bytes([number % 251]) * sizes[number % len(sizes)] for number in range(12)]
    steps = [(0.0, piece(content)) for content in contents] + [(0.0, piece(b"", is_last=True))]

    async def run() -> list[bytes]:
        body = Body(Client(steps).receive, PACE)
        try:
            return await asyncio.to_thread(lambda: list(iter(lambda: body.read(size), b"")))
        finally:
            await body.stop()

    parts = asyncio.run(run())
    assert b"".join(parts) == b"".join(contents)
    assert {len(part) for part in parts[:-1]} <= {size}


def test_tiny_pieces_take_no_more_memory_than_their_bytes() -> None:
    async def hold() -> int:
        body = Body(Client((0.0, piece(b"ab")) for _ in range(8 * KIB)).receive, Pace(60, 1))
        tracemalloc.start()
        await body.hold(16 * KIB, Slots(10**9, 10**9), "a")
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return taken

    assert asyncio.run(hold()) < 100 * KIB


@pytest.mark.parametrize(
    ("steps", "raised"),
    [
        ([], BodyTooSlow),
        ([(0, piece(b"a"))], BodyTooSlow),
        ([(0.1, piece(b"a"))] * 100, BodyTooSlow),
        ([(0, piece(b"a" * 200 * KIB))], BodyTooSlow),
        ([(0.1, piece(b"a" * KIB))] * 100, BodyTooSlow),
        ([(0, piece(b"a")), (0, GONE)], MalformedRequest),
    ],
)
def test_a_body_that_stalls_trickles_or_breaks_off_is_refused(
    steps: list[Step], raised: type[Refusal]
) -> None:
    with pytest.raises(raised):
        read(steps)


def test_a_long_body_that_keeps_coming_has_more_time_than_a_small_one() -> None:
    steps = [(0.05, piece(b"a" * 100 * KIB, is_last=number == 11)) for number in range(12)]

    assert len(read(steps)) == 1200 * KIB


def test_no_more_is_received_than_fits_while_a_view_does_not_read() -> None:
    async def run() -> int:
        client = Client([(0, piece(b"a" * 64 * KIB))] * 1000)
        body = Body(client.receive, PACE)
        await asyncio.to_thread(body.read, 1)
        await asyncio.sleep(0.5)
        await body.stop()
        return client.sent

    assert asyncio.run(run()) <= 6


def test_nothing_is_received_before_a_view_reads() -> None:
    async def run() -> int:
        client = Client([(0, piece(b"a"))] * 10)
        body = Body(client.receive, PACE)
        await asyncio.sleep(0.05)
        await body.stop()
        return client.sent

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("content", "raised"), [(b"a" * 100 * KIB, None), (b"a" * 105 * KIB, Unavailable), (b"a", None)]
)
def test_what_is_held_is_counted_beyond_its_first_bytes(content: bytes, raised: type[Refusal] | None) -> None:
    async def run() -> tuple[Body, int]:
        room = Slots(100 * KIB, 100 * KIB)
        body = Body(Client([(0, piece(content, is_last=True))]).receive, PACE)
        return body, await body.hold(1024 * KIB, room, "192.0.2.1")

    _, held = asyncio.run(run())
    assert held == (0 if raised else max(0, len(content) - bodies._UNCOUNTED_BYTES))


def test_a_refused_body_is_forgotten_for_some_seconds_alone() -> None:
    async def run() -> tuple[int, float]:
        client = Client([(0, piece(b"a"))] * 10)
        began = asyncio.get_running_loop().time()
        await Body(client.receive, PACE).discard(0.2)
        return client.sent, asyncio.get_running_loop().time() - began

    sent, seconds = asyncio.run(run())
    assert sent == 10
    assert seconds < 2
