"""A worker works until it is told to stop, and a dead one is replaced: soon, but not in a storm."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bulkcert.errors import StorageFull, Unavailable
from bulkcert.processes.stopping import work_until
from bulkcert.processes.supervisor import Process, Supervisor, pause_after

KILLED = -signal.SIGKILL


def test_it_works_without_a_pause_while_there_is_work_and_looks_again_where_there_is_none():
    found = iter([True, True, False, True, False])
    rests: list[float] = []
    left = iter([False] * 5 + [True])

    work_until(lambda: next(left), lambda: next(found), rests.append)

    assert rests == [1.0, 1.0]


@pytest.mark.parametrize("refusal", [Unavailable("busy"), StorageFull("full")])
def test_a_database_that_cannot_be_used_for_the_moment_ends_nothing(refusal):
    def work_once() -> bool:
        raise refusal

    pauses: list[float] = []
    left = iter([False, False, True])

    work_until(lambda: next(left), work_once, lambda _: None, pauses.append)

    assert pauses == [2.0, 2.0]


@pytest.mark.parametrize(("status", "lived", "crashes", "pause"), [
    (0, 3600.0, 0, 0.0),
    (1, 10.0, 0, 0.0),
    (1, 0.5, 1, 0.5),
    (1, 0.5, 2, 1.0),
    (1, 0.5, 5, 8.0),
    (1, 0.5, 50, 30.0),
    (-signal.SIGSEGV, 0.5, 50, 30.0),
    (KILLED, 0.5, 1, 0.5),
    (KILLED, 0.5, 50, 1.0),
])  # fmt: skip
def test_the_pause_grows_with_every_crash_but_a_kill_is_no_crash(status, lived, crashes, pause):
    assert pause_after(status, lived, crashes) == pause


class FakeProcess:
    def __init__(self) -> None:
        self.status: int | None = None
        self.is_stubborn = False

    def poll(self) -> int | None:
        return self.status

    def terminate(self) -> None:
        if not self.is_stubborn:
            self.status = 0

    def kill(self) -> None:
        self.status = KILLED

    def wait(self, seconds: float | None = None) -> int:
        if self.status is None:
            raise subprocess.TimeoutExpired("worker", seconds)
        return self.status


class Nursery:
    """Starts fake processes, on a clock that is moved by hand."""

    def __init__(self, number: int) -> None:
        self.time = 100.0
        self.started: list[FakeProcess] = []
        self.supervisor = Supervisor(number, self._start, lambda: self.time)

    def _start(self) -> FakeProcess:
        self.started.append(FakeProcess())
        return self.started[-1]

    def look(self, after: float = 0.0) -> int:
        self.time += after
        self.supervisor.look()
        return len(self.started)


def test_every_place_is_filled_and_filled_again():
    nursery = Nursery(2)
    assert nursery.look() == 2
    assert nursery.look(60) == 2
    nursery.started[0].status = KILLED
    assert nursery.look() == 3
    assert nursery.look(60) == 3


def test_a_worker_that_crashes_at_once_is_started_ever_more_seldom():
    nursery = Nursery(1)
    starts = []
    for _ in range(6000):  # ten minutes, in tenths of a second
        if nursery.look(0.1) > len(starts):
            starts.append(nursery.time)
            nursery.started[-1].status = 1
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(starts)]

    assert pauses[:7] == [1, 1, 2, 4, 8, 16, 30]
    assert set(pauses[7:]) == {30}


def test_a_long_life_makes_up_for_crashes_before_it():
    nursery = Nursery(1)
    for _ in range(6):
        nursery.look(31)
        nursery.started[-1].status = 1
        nursery.look()
    nursery.look(31)
    nursery.look(60)
    nursery.started[-1].status = 1

    assert nursery.look() == len(nursery.started) == 8


def test_stopping_asks_and_then_ends():
    nursery = Nursery(3)
    nursery.look()
    nursery.started[1].is_stubborn = True
    nursery.supervisor.stop(0)

    assert [process.status for process in nursery.started] == [0, KILLED, 0]


def test_nobody_is_replaced_once_it_stops():
    nursery = Nursery(1)
    nursery.supervisor.start()
    while not nursery.started:
        time.sleep(0.01)
    nursery.supervisor.stop(0)

    assert len(nursery.started) == 1


PROGRAM = """
import signal, time
from bulkcert.processes import worker
class Work:
    def work_once(self):
        print("working", flush=True)
        time.sleep(1)
        print("done", flush=True)
        return False
    def rest(self, seconds):
        pass
    def close(self):
        print("closed", flush=True)
worker.make_work = lambda config: Work()
raise SystemExit(worker.main({arguments}))
"""


def a_worker(*arguments: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(arguments=list(arguments))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BULKCERT_")}
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_chunk_be_finished(number):
    with a_worker() as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(number)

        assert process.stdout.read() == "done\nclosed\n"
        assert process.wait() == 0


@pytest.mark.slow
def test_it_ends_when_its_supervisor_is_gone():
    with a_worker("1") as process:  # process 1 is never the parent of a test
        assert process.stdout.read() == ""  # no work was begun
        assert process.wait() == 0


@pytest.mark.slow
def test_settings_that_are_wrong_end_it_with_a_status():
    command = [sys.executable, "-m", "bulkcert.processes.worker"]
    environment = {"PATH": os.environ["PATH"], "BULKCERT_NO_SUCH_SETTING": "x"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert json.loads(done.stderr)["errors"][0].startswith("BULKCERT_NO_SUCH_SETTING: ")


def test_a_place_whose_worker_cannot_be_started_is_tried_again_later() -> None:
    now, tries = [0.0], []

    def start() -> Process:
        tries.append(now[0])
        raise BlockingIOError(11, "Resource temporarily unavailable")

    supervisor = Supervisor(1, start, lambda: now[0])
    for second in range(20):
        now[0] = float(second)
        supervisor.look()

    assert tries[0] == 0.0
    assert 2 <= len(tries) < 10
