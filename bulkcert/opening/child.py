"""The child process as its parent sees it: started, fed, listened to, watched, ended."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO

from bulkcert.errors import Unavailable
from bulkcert.limits import Limits
from bulkcert.opening.frames import Frames, frame

_SECONDS_TO_START = 60
_PIPE_BYTES = 1024**2  # so that the child can work ahead; the default of 64 KiB holds a dozen answers
_READ_BYTES = 256 * 1024
_MANY_ANSWERS = 8
_NAP_SECONDS = 0.01
"""Before a look into the pipe where many answers are still to come: one look takes several then, and the
child keeps its processor meanwhile. A look for each file took as much as a tenth of its opening."""

_COMMAND = (sys.executable, "-I", "-B", "-m", "bulkcert.opening")
_KEPT_VARIABLES = ("LD_LIBRARY_PATH",)  # some Pythons find their own library by it


class ChildDoesNotStart(Unavailable):
    """There is no process to open files with: the installation or the machine is at fault, not a file."""


class ChildEnded(Exception):  # noqa: N818 - it ended; whether that is an error is for the caller to say
    """The child ended before its answer. had_begun: with the next file. out_of_time: by a limit of time."""

    def __init__(self, *, had_begun: bool, out_of_time: bool) -> None:
        super().__init__("the child process ended")
        self.had_begun = had_begun
        self.out_of_time = out_of_time


def environment() -> dict[str, str]:
    """Give the environment of the child: nothing of this process's settings, paths to secrets included."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


class Child:
    """One process that opens files. answered: how many so far. has_ended: after `end`."""

    def __init__(self, limits: Limits) -> None:
        self.answered = 0
        self.has_ended = False
        self._asked = 0  # for as many answers, those that came included
        self._begun = False
        self._unsent = bytearray()
        self._requests: Iterator[bytes] = iter(())
        self._frames = Frames()
        # A session of its own: an interrupt typed at the terminal is for the parent to handle.
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment(), cwd="/", bufsize=0, close_fds=True, start_new_session=True,
        )  # fmt: skip
        self._input, self._output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._unsent += frame(json.dumps(asdict(limits)).encode())
        try:
            self._next_frame(time.monotonic() + _SECONDS_TO_START)  # says that it is ready
        except ChildEnded:
            self.end()
            raise ChildDoesNotStart("The process that opens PKCS#12 files does not start.") from None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def feed(self, requests: Iterator[bytes]) -> None:
        """Give the requests that are to be sent, as the child takes them."""
        self._requests = requests

    def next_answer(self, seconds: float) -> bytes:
        """Wait for the next answer; a file may take `seconds`, counted while somebody waits here for it.

        Raises `ChildEnded`, after which only `end` makes sense.
        """
        deadline = time.monotonic() + seconds
        while True:
            answer = self._next_frame(deadline)
            if answer:
                self.answered += 1
                self._begun = False
                return answer
            self._begun = True  # an empty frame says that it has begun with the next file
            deadline = time.monotonic() + seconds

    def end(self) -> None:
        """Kill the process, and wait for its end."""
        self.has_ended = True
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _next_frame(self, deadline: float) -> bytes:
        while (received := self._frames.take()) is None:
            self._exchange(deadline)
        return received

    def _exchange(self, deadline: float) -> None:
        """Send what the pipe takes, receive what it holds; wait until either moves."""
        has_something_to_send = self._has_something_to_send()
        if not has_something_to_send and self._asked - self.answered > _MANY_ANSWERS:
            time.sleep(_NAP_SECONDS)
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        if has_something_to_send:
            poll.register(self._input, select.POLLOUT)
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
        if self._input in ready:
            self._send()
        if self._output in ready:
            self._receive()
        if not ready:
            raise ChildEnded(had_begun=self._begun, out_of_time=True)

    def _has_something_to_send(self) -> bool:
        while len(self._unsent) < _PIPE_BYTES and (request := next(self._requests, None)) is not None:
            self._unsent += request
            self._asked += 1
        return bool(self._unsent)

    def _send(self) -> None:
        try:
            sent = os.write(self._input, self._unsent)
        except BrokenPipeError:  # it has ended; what it still answered is read first
            self._unsent.clear()
            self._requests = iter(())
        else:
            del self._unsent[:sent]

    def _receive(self) -> None:
        received = os.read(self._output, _READ_BYTES)
        if not received:
            self._process.wait()
            out_of_time = self._process.returncode == -signal.SIGXCPU
            raise ChildEnded(had_begun=self._begun, out_of_time=out_of_time)
        self._frames.add(received)


def _pipe(pipe: IO[bytes] | None) -> int:
    """Make a pipe long and never waiting; give its file descriptor."""
    assert pipe is not None
    descriptor = pipe.fileno()
    os.set_blocking(descriptor, False)
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # a user may have used up what all pipes may take together
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return descriptor
