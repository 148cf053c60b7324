"""The template process as the worker sees it: started once, asked for a child for each import."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict

from bulkcert.errors import Unavailable
from bulkcert.opening.confinement import Layers
from bulkcert.opening.forking import FORK, LONGEST_MESSAGE, NUMBER, REAP, SOCKET_TYPE
from bulkcert.values.limits import Limits

_SECONDS_TO_START = 60
_SECONDS_TO_OBEY = 60
_COMMAND = (sys.executable, "-I", "-B", "-m", "bulkcert.opening")
_KEPT_VARIABLES = ("LD_LIBRARY_PATH",)  # some Pythons find their own library by it


class ChildDoesNotStart(Unavailable):
    """There is no process to open files with: the installation or the machine is at fault, not a file."""


class TemplateEnded(Exception):  # noqa: N818 - an end, which the caller takes care of
    """The template process is gone."""


def environment() -> dict[str, str]:
    """Return the environment of the template: none of this process's settings, paths to secrets included."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


class Template:
    """The process that is forked for each import. layers: what confines it and its children."""

    def __init__(self, limits: Limits) -> None:
        """Start it; raises `ChildDoesNotStart`."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, SOCKET_TYPE)
        with theirs:
            # A session of its own: an interrupt typed at the terminal is for the worker.
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                _COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=environment(), cwd="/", close_fds=True, start_new_session=True,
            )  # fmt: skip
        try:
            answer = self._ask(json.dumps(asdict(limits)).encode(), _SECONDS_TO_START)
            self.layers = Layers(**json.loads(answer))
        except (TemplateEnded, ValueError, TypeError):
            self.end()
            raise ChildDoesNotStart("The process that opens PKCS#12 files does not start.") from None

    def fork(self, requests: int, answers: int) -> int:
        """Fork a child that reads `requests` and writes `answers` (descriptors); return its process id."""
        (pid,) = NUMBER.unpack(self._ask(FORK, _SECONDS_TO_OBEY, [requests, answers]))
        return int(pid)

    def reap(self, pid: int) -> int:
        """Wait for the end of a child; return its exit status as `subprocess` does (negative: a signal)."""
        (status,) = NUMBER.unpack(self._ask(REAP + NUMBER.pack(pid), _SECONDS_TO_OBEY))
        return os.waitstatus_to_exitcode(status)

    def end(self) -> None:
        """Kill the process, and its children with it."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, order: bytes, seconds: float, descriptors: list[int] | None = None) -> bytes:
        try:
            self._control.settimeout(seconds)
            socket.send_fds(self._control, [order], descriptors or [])
            answer = self._control.recv(LONGEST_MESSAGE)
        except OSError:
            answer = b""
        if not answer:
            raise TemplateEnded
        return answer
