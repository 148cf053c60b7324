"""The process that opens PKCS#12 files. It is started by `child.Child`, and by nobody else."""

import gc
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import BinaryIO

from bulkcert.certificates import OpenedCertificate
from bulkcert.errors import ItemRefusal
from bulkcert.formats import pkcs12
from bulkcert.limits import Limits
from bulkcert.opening.confinement import allow_seconds, confine
from bulkcert.opening.frames import BEGUN, frame, read_frame, read_request, write_answer
from bulkcert.secret import Secret

_SECONDS_BETWEEN_LOOKS = 5


def main() -> None:
    """Read limits, then files, from the standard input; answer on what was the standard output."""
    # A stop of the service may signal the whole group: the worker says when this process ends.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    requests, answers = _claim_pipes()
    limits = Limits(**json.loads(read_frame(requests) or b"{}"))
    confine(limits)
    gc.freeze()  # what was imported lives as long as the process: it need not be looked through again
    answers.write(frame(b"ready"))
    for data, password in _read_requests(requests):
        allow_seconds(limits.opening_cpu_seconds)
        answers.write(BEGUN)
        answers.write(write_answer(_open(data, password, limits)))


def _open(data: bytes, password: Secret, limits: Limits) -> OpenedCertificate | ItemRefusal:
    try:
        return pkcs12.open(data, password, limits)
    except ItemRefusal as refusal:
        return refusal


def _read_requests(requests: BinaryIO) -> Iterator[tuple[bytes, Secret]]:
    parent = os.getppid()
    while _has_more(requests, parent) and (content := read_frame(requests)) is not None:
        yield read_request(content)


def _has_more(requests: BinaryIO, parent: int) -> bool:
    """Wait for a request. A parent's death shows as the end of the pipe, unless a copy of it is held open."""
    if requests.peek(1):  # type: ignore[attr-defined]  # a BufferedReader
        return True
    while not select.select([requests], [], [], _SECONDS_BETWEEN_LOOKS)[0]:
        if os.getppid() != parent:
            return False
    return True


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move both pipes off the standard descriptors, so that nothing printed ends up in an answer."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb", buffering=0)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the parent is gone
        sys.exit(0)
