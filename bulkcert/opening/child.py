"""The child process as its parent sees it: started, fed, listened to, watched, ended."""

import contextlib
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Iterator

from bulkcert.opening.protocol import Frames
from bulkcert.opening.template import Template, TemplateEnded

_PIPE_BYTES = 1024**2  # so that the child can work ahead; the default of 64 KiB holds a dozen answers
_READ_BYTES = 256 * 1024
_MANY_ANSWERS = 8
_NAP_SECONDS = 0.01
"""Before a look into the pipe where many answers are still to come: one look takes several then, and the
child keeps its processor meanwhile. A look for each file took as much as a tenth of its opening."""


class ChildEnded(Exception):  # noqa: N818 - it ended; whether that is an error is for the caller to say
    """The child ended before its answer. had_begun: with the next file. out_of_time: by a limit of time."""

    def __init__(self, *, had_begun: bool, out_of_time: bool) -> None:
        super().__init__("the child process ended")
        self.had_begun = had_begun
        self.out_of_time = out_of_time


class Child:
    """One process that opens the files of an import. answered: how many so far. has_ended: after `end`."""

    def __init__(self, template: Template) -> None:
        """Fork it; raises `TemplateEnded`."""
        self.answered = 0
        self.has_ended = False
        self._cpu_seconds = 0.0
        self._asked = 0  # for as many answers, those that came included
        self._begun = False
        self._unsent = bytearray()
        self._requests: Iterator[bytes] = iter(())
        self._frames = Frames()
        self._template = template
        requests, self._input = os.pipe()
        self._output, answers = os.pipe()
        for pipe in (self._input, self._output):
            _enlarge(pipe)
        try:
            self.pid = template.fork(requests, answers)
        except TemplateEnded:
            self._close_pipes()
            raise
        finally:
            os.close(requests)
            os.close(answers)
        # A handle: once the template is gone, the process id may become that of another process.
        self._handle = os.pidfd_open(self.pid)

    def feed(self, requests: Iterator[bytes]) -> None:
        """Return the requests that are to be sent, as the child takes them."""
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

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has used, as the kernel counts it."""
        if not self.has_ended:
            with contextlib.suppress(OSError):  # the template, and its children with it, may have been killed
                self._cpu_seconds = _read_cpu_clock(self.pid)
        return self._cpu_seconds

    def end(self) -> int | None:
        """Kill the process and wait for its end; return its exit status, None if unknown."""
        if self.has_ended:
            return None
        self.cpu_seconds()
        self.has_ended = True
        self._close_pipes()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)
        with contextlib.suppress(TemplateEnded):
            return self._template.reap(self.pid)
        return None

    def _close_pipes(self) -> None:
        os.close(self._input)
        os.close(self._output)

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
            out_of_time = self.end() == -signal.SIGXCPU
            raise ChildEnded(had_begun=self._begun, out_of_time=out_of_time)
        self._frames.add(received)


def _read_cpu_clock(pid: int) -> float:
    """Return the processor time of a process, in seconds; raises `OSError` where it is gone.

    The clock's id is the one of clock_getcpuclockid(3) on Linux, which Python does not offer.
    """
    return time.clock_gettime(~pid << 3 | 2) if sys.platform == "linux" else 0.0


def _enlarge(pipe: int) -> None:
    """Let a pipe hold more and never wait (a descriptor)."""
    os.set_blocking(pipe, False)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a user may have used up the total of all pipes
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
