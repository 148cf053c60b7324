"""The shipped server under hostile heads: none takes its time, and each names one host."""

import socket
import time

import pytest

from tests.live.service import LIVE, LiveService, live_service  # noqa: F401

pytestmark = LIVE


def answer_to(service: LiveService, head: bytes) -> tuple[int, float]:
    """Send a head as it stands; give the status of the answer, and the seconds until it came."""
    with service.connect() as connection:
        began = time.monotonic()
        connection.sendall(head)
        first = b""
        while b"\r\n" not in first and (received := connection.recv(4096)):
            first += received
        return int(first.split()[1]), time.monotonic() - began


@pytest.mark.parametrize("filling", [b" ", b"\t", b" ;", b"a/b,", b"a"])
@pytest.mark.parametrize("header", [b"Accept", b"Content-Type", b"Authorization", b"Cookie", b"Prefer"])
def test_a_head_of_60000_bytes_is_answered_at_once(
    live_service: LiveService,  # noqa: F811
    header: bytes,
    filling: bytes,
) -> None:
    text = b"x" + filling * (60_000 // len(filling)) + b"x"
    head = b"GET /api/v1/limits HTTP/1.1\r\nHost: localhost\r\n" + header + b": " + text + b"\r\n\r\n"

    status, seconds = answer_to(live_service, head)

    assert status == 431
    assert seconds < 5


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.0\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.0\r\nHost: a.example\r\nHost: b.example\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 500 + b"\r\n", 431),
    ],
)
def test_a_request_names_one_host(live_service: LiveService, head: bytes, status: int) -> None:  # noqa: F811
    assert answer_to(live_service, head)[0] == status


def test_the_service_answers_others_while_it_is_sent_long_heads(live_service: LiveService) -> None:  # noqa: F811
    head = b"GET /api/v1/limits HTTP/1.1\r\nHost: localhost\r\nAccept: " + b" ;" * 30_000
    attackers: list[socket.socket] = [live_service.connect() for _ in range(20)]
    try:
        for attacker in attackers:
            attacker.sendall(head + b"\r\n\r\n")
        status, seconds = answer_to(live_service, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    finally:
        for attacker in attackers:
            attacker.close()

    assert status == 200
    assert seconds < 5
