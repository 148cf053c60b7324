"""Ports for servers that are told which one to take.

A port that was probed and let go can be lent by the kernel to any connection before the server binds it. These lie
outside the range that the kernel lends (ip(7), `ip_local_port_range`), and test processes keep them from one another
by a lock for as long as they live.
"""

import contextlib
import errno
import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

_taken: set[int] = set()  # a process's second lock on a port would be granted, too


def take_port() -> int:
    """Return a port that no process listens on, and that no other test process is given while this one lives."""
    candidates = _candidates()
    random.SystemRandom().shuffle(candidates)  # hypothesis seeds the shared generator
    for port in candidates:
        if port not in _taken and _lock(port):
            _taken.add(port)
            if _is_unused(port):
                return port
    raise AssertionError("every port is taken")


def _candidates() -> list[int]:
    """Return the ports that the kernel does not lend, or all where it lends all."""
    lent = range(32_768, 65_536)
    with contextlib.suppress(OSError):
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        lent = range(int(first), int(last) + 1)
    return [port for port in range(10_000, 65_536) if port not in lent] or list(range(10_000, 65_536))


def _lock(port: int) -> bool:
    try:
        fcntl.lockf(_lock_file(os.getpid()), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError as refusal:
        if refusal.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True


@functools.cache
def _lock_file(_pid: int) -> int:
    """Open the file whose byte N is locked by the owner of port N; it stays open until the process ends."""
    path = Path(tempfile.gettempdir()) / f"bulkcert-test-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_unused(port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: a connection that was closed holds no port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
