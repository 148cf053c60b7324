"""The process that opens PKCS#12 files. It is started by `child.Child`, and by nobody else."""

import gc
import json
import os
import select
import signal
import sys
from typing import BinaryIO

from bulkcert.certificates import OpenedCertificate
from bulkcert.errors import ItemRefusal
from bulkcert.formats import pkcs12
from bulkcert.limits import Limits
from bulkcert.opening.confinement import allow_seconds, confine
from bulkcert.opening.frames import BEGUN, Frames, frame, read_request, write_answer
from bulkcert.secret import Secret

_SECONDS_BETWEEN_LOOKS = 5
_READ_BYTES = 256 * 1024
_NO_LIMIT = 2**32  # the parent is trusted, and its settings may allow large files


def main() -> None:
    """Read limits, then files, from the standard input; answer on what was the standard output."""
    # A stop of the service may signal the whole group: the worker says when this process ends.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.SIG_IGN)
    requests, answers = _claim_pipes()
    limits = Limits(**json.loads(requests.next() or b"{}"))
    confine(limits)
    gc.freeze()  # what was imported lives as long as the process: it need not be looked through again
    answers.write(frame(b"ready"))
    while (content := _next(requests, answers)) is not None:
        number, data, password = read_request(content)
        allow_seconds(limits.opening_cpu_seconds)
        answers.write(BEGUN)
        answers.flush()  # the answer before is told together with this: one turn of the parent for both
        answers.write(write_answer(number, _open(data, password, limits)))


def _open(data: bytes, password: Secret, limits: Limits) -> OpenedCertificate | ItemRefusal:
    try:
        return pkcs12.open(data, password, limits)
    except ItemRefusal as refusal:
        return refusal


def _next(requests: "_Requests", answers: BinaryIO) -> bytes | None:
    """Give the next request; tell what is to be told before waiting for it."""
    if (content := requests.take()) is None:
        answers.flush()
        content = requests.next()
    return content


class _Requests:
    """Takes requests off a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._parent = os.getppid()
        self._frames = Frames(longest=_NO_LIMIT)

    def take(self) -> bytes | None:
        """Give a request that is here whole, or None."""
        return self._frames.take()

    def next(self) -> bytes | None:
        """Wait for a request; None where there will be none."""
        while (content := self.take()) is None:
            if not self._parent_lives() or not (received := os.read(self._pipe, _READ_BYTES)):
                return None
            self._frames.add(received)
        return content

    def _parent_lives(self) -> bool:
        """Wait for the pipe. A parent's death shows as its end, unless a copy of it is held open."""
        while not select.select([self._pipe], [], [], _SECONDS_BETWEEN_LOOKS)[0]:
            if os.getppid() != self._parent:
                return False
        return True


def _claim_pipes() -> tuple[_Requests, BinaryIO]:
    """Move both pipes off the standard descriptors, so that nothing printed ends up in an answer."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    return _Requests(requests), os.fdopen(answers, "wb")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the parent is gone
        sys.exit(0)
