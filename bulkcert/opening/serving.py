"""The child process: opens the files of one import and answers on its pipe."""

import os
import select
from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.opening.confinement import allow_seconds
from bulkcert.opening.protocol import BEGUN, Frames, read_request, write_answer
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret

Open = Callable[[bytes, Secret, Limits, datetime], OpenedCertificate]

_SECONDS_BETWEEN_LOOKS = 5
_READ_BYTES = 256 * 1024
_NO_LIMIT = 2**32  # the parent is trusted, and its settings may allow large files


def serve(requests: int, answers: int, limits: Limits, open_file: Open = pkcs12.open) -> None:
    """Read requests from one descriptor and write answers to the other until the requests end.

    open_file: opens one file (content, password, limits, the moment) or raises an `ItemRefusal`.
    """
    with os.fdopen(answers, "wb") as output:
        incoming = _Requests(requests)
        while (content := _next(incoming, output)) is not None:
            number, data, password, now = read_request(content)
            allow_seconds(limits.opening_cpu_seconds)
            output.write(BEGUN)
            output.flush()  # with the answer before: one turn of the parent for both
            output.write(write_answer(number, _result(open_file, data, password, limits, now)))


def _result(
    open_file: Open, data: bytes, password: Secret, limits: Limits, now: datetime
) -> OpenedCertificate | ItemRefusal:
    try:
        return open_file(data, password, limits, now)
    except ItemRefusal as refusal:
        return refusal


def _next(requests: "_Requests", answers: BinaryIO) -> bytes | None:
    """Return the next request; flush the answers before waiting for it."""
    if (content := requests.take()) is None:
        answers.flush()
        content = requests.next()
    return content


class _Requests:
    """The requests on a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._parent = os.getppid()
        self._frames = Frames(longest=_NO_LIMIT)

    def take(self) -> bytes | None:
        """Return a request that has come whole, or None."""
        return self._frames.take()

    def next(self) -> bytes | None:
        """Wait for a request; return None where there will be none."""
        while (content := self.take()) is None:
            if not self._parent_lives() or not (received := os.read(self._pipe, _READ_BYTES)):
                return None
            self._frames.add(received)
        return content

    def _parent_lives(self) -> bool:
        """Wait for the pipe. The parent's death shows as its end, unless a copy of it is open elsewhere."""
        while not select.select([self._pipe], [], [], _SECONDS_BETWEEN_LOOKS)[0]:
            if os.getppid() != self._parent:
                return False
        return True
