"""Ports of the tests are no matter of luck."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ports
from tests.paths import ROOT
from tests.ports import take_port

LENT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_port_is_given_once() -> None:
    assert len({take_port() for _ in range(20)}) == 20


@pytest.mark.skipif(not LENT.exists(), reason="needs Linux's /proc")
def test_the_kernel_does_not_lend_it_to_a_connection() -> None:
    first, last = map(int, LENT.read_text().split())

    assert first > 10_000 or last < 65_535, "this machine lends every port"
    assert not first <= take_port() <= last


def test_a_port_that_another_test_process_took_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    spare = take_port()
    script = "from tests.ports import take_port; print(take_port(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        taken = int(other.stdout.readline())
        offer_only(monkeypatch, taken, spare)
        found = take_port()
        other.communicate("\n")

    assert found == spare


def test_a_port_that_is_listened_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    listened, spare = take_port(), take_port()
    offer_only(monkeypatch, listened, spare)
    with socket.create_server(("127.0.0.1", listened)):
        assert take_port() == spare


def offer_only(monkeypatch: pytest.MonkeyPatch, *offered: int) -> None:
    """Let `take_port` choose among these, as a process would that has taken none of them."""
    monkeypatch.setattr(ports, "_taken", set())
    monkeypatch.setattr(ports, "_candidates", lambda: list(offered))


def test_no_test_probes_a_port_and_lets_it_go() -> None:
    """A function that returns the port of its own socket has closed that socket by then."""
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("tests", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"return .*getsockname\(\)\[1\]", path.read_text())
    ]

    assert found == []
