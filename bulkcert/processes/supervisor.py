"""The supervisor: it keeps a number of processes alive."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from bulkcert.config import Config
from bulkcert.wiring.checks import check_confinement

log = structlog.get_logger()

LOOK_SECONDS = 0.2
"""Between two looks at the workers."""

_LONG_LIFE_SECONDS = 10.0
"""A worker that lived for so long was not in a crash loop."""

_LONGEST_PAUSE_SECONDS = 30.0
Process = subprocess.Popen[bytes]


def start_worker(joined: int | None = None) -> Process:
    """Start a worker process that ends when this process does.

    joined: a file descriptor that it writes a line to when it has joined.
    """
    # -P: nothing is imported from the current directory, which may be anyone's.
    # A process group of its own: a Ctrl-C at the terminal is for the supervisor, who lets workers finish.
    descriptors = () if joined is None else (joined,)
    command = [
        sys.executable,
        "-P",
        "-m",
        "bulkcert.processes.worker",
        str(os.getpid()),
        *map(str, descriptors),
    ]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, process_group=0, pass_fds=descriptors
    )


def pause_after(status: int, lived: float, crashes: int) -> float:
    """Return how long to wait before the next start, in seconds.

    `status` as subprocess gives it (negative: a signal), `lived` in seconds, `crashes` counts short lives in
    a row, this one included. SIGKILL comes from outside (a person, the kernel short of memory).
    """
    if lived >= _LONG_LIFE_SECONDS:
        return 0.0
    longest = 1.0 if status == -signal.SIGKILL else _LONGEST_PAUSE_SECONDS
    return min(longest, 0.25 * 2.0 ** min(crashes, 10))


@dataclass
class _Place:
    """One of the places for a worker."""

    process: Process | None = None
    started: float = 0.0
    not_before: float = 0.0
    crashes: int = 0


@dataclass
class Supervisor:
    """Keeps `number` worker processes running; a place is filled again when its worker died.

    Nobody is started before `start`, or `look` where the caller has a loop of its own.
    """

    number: int
    start_process: Callable[[], Process] = start_worker
    now: Callable[[], float] = time.monotonic
    _places: list[_Place] = field(init=False)
    _stopped: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._places = [_Place() for _ in range(self.number)]

    def start(self) -> None:
        """Watch over the workers in a thread of its own."""
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Fill every place that is empty and whose pause is over."""
        for place in self._places:
            if place.process is not None and (status := place.process.poll()) is not None:
                self._empty(place, status)
            if place.process is None and self.now() >= place.not_before:
                self._fill(place)

    def _fill(self, place: _Place) -> None:
        place.started = self.now()
        try:
            place.process = self.start_process()
        except OSError as failure:  # no memory, or too many processes: as with a crash, later is better
            place.crashes += 1
            place.not_before = self.now() + pause_after(1, 0.0, place.crashes)
            log.critical("a worker cannot be started", error=failure.strerror)

    def _empty(self, place: _Place, status: int) -> None:
        lived = self.now() - place.started
        place.crashes = 0 if lived >= _LONG_LIFE_SECONDS else place.crashes + 1
        pause = pause_after(status, lived, place.crashes)
        place.not_before = self.now() + pause
        place.process = None
        log.warning("a worker ended and is replaced", status=status, pause_seconds=pause)

    def stop(self, seconds: float) -> None:
        """Let every worker finish its chunk for at most `seconds`, then end it; returns when all are gone."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        end = self.now() + seconds
        for process in running:
            _end(process, max(0.0, end - self.now()))


def _end(process: Process, seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


STOP_SECONDS = 10.0
"""For a worker to finish its chunk; one that is ended earlier loses nothing but time."""


def processor_count() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warn_unless_confined(config: Config) -> None:
    """Log a warning where nothing confines opening processes; raises as `check_confinement` does."""
    if not (layers := check_confinement(config)).are_enough:
        log.warning("the process that opens PKCS#12 files is not confined by the kernel", layers=str(layers))
