"""Log lines are JSON on standard error, and never in the way of what they tell of."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import a_bundle
from tests.live.service import LiveService, wait_until

PROGRAM = """
import os, sys, structlog
from bulkcert.logs import configure_logging
configure_logging({level!r})
log = structlog.get_logger()
if {broken}:
    os.close(2)
log.info("it happened", count=1)
log.error("it failed")
print("done")
"""


def run(level: str, *, broken: bool) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(level=level, broken=broken)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_lines_are_json_with_time_and_level() -> None:
    first, second = map(json.loads, run("info", broken=False).stderr.splitlines())

    assert (first["event"], first["level"], first["count"]) == ("it happened", "info", 1)
    assert second["timestamp"].endswith("Z")


def test_lines_below_the_level_are_left_out() -> None:
    assert [json.loads(line)["event"] for line in run("error", broken=False).stderr.splitlines()] == [
        "it failed"
    ]


def test_a_log_that_nobody_can_write_stops_nothing() -> None:
    assert run("info", broken=True).stdout == "done\n"


LOUD = """
import logging, sys, threading, warnings
from bulkcert.logs import configure_logging
configure_logging("info")

class Loud:
    def __del__(self):
        raise ValueError("hunter2")

def fail():
    try:
        raise KeyError("hunter2")
    except KeyError:
        raise ValueError("hunter2")

logging.getLogger("some.library").warning("no answer from %s", "hunter2")
logging.getLogger("some.library").info("of no interest")
try:
    fail()
except ValueError:
    logging.getLogger("another.library").exception("it broke")
warnings.warn("hunter2")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Loud()
fail()
"""


def test_what_libraries_log_warn_of_and_raise_is_json_without_values() -> None:
    done = subprocess.run([sys.executable, "-c", LOUD], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert done.returncode == 1
    assert "hunter2" not in done.stderr
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "no answer from %s"),
        ("error", "it broke"),
        ("warning", "python warning"),
        ("critical", "uncaught exception"),
        ("critical", "uncaught exception"),
        ("critical", "uncaught exception"),
    ]
    assert lines[0]["logger"] == "some.library"
    assert (lines[2]["category"], lines[2]["place"]) == ("UserWarning", "<string>:22")
    assert lines[-1]["error"] == "ValueError"
    assert lines[-1]["causes"] == ["KeyError"]
    assert lines[-1]["frames"][-1].endswith(" fail")


REFUSED = """
from bulkcert.errors import BadSettings, Fault
from bulkcert.logs import faults_logged
with faults_logged("it stops"):
    raise {fault}
"""


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("ValueError('hunter2')", {"error": "ValueError", "causes": []}),
        (
            "BadSettings('Settings are wrong.', (Fault('BULKCERT_X', 'no'),))",
            {"code": "bad_settings", "errors": ["BULKCERT_X: no"]},
        ),
    ],
)
def test_a_fault_ends_a_process_with_a_line_even_before_logging_is_configured(
    fault: str, told: dict[str, object]
) -> None:
    command = [sys.executable, "-c", REFUSED.format(fault=fault)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    [line] = map(json.loads, done.stderr.splitlines())

    assert done.returncode == 1
    assert (line["event"], line["level"]) == ("it stops", "critical")
    assert told.items() <= line.items()
    assert "hunter2" not in done.stderr


def events(service: LiveService) -> list[dict[str, object]]:
    """Every line of the log; `serve` says "serving" on standard output, which is in the same file here."""
    lines = [line for line in service.log.splitlines() if not line.startswith("serving https://")]
    return [json.loads(line) for line in lines]


@pytest.mark.live
@pytest.mark.xdist_group("live")
def test_every_line_of_a_running_service_is_json_and_an_import_can_be_followed(tmp_path: Path) -> None:
    with LiveService(tmp_path / "data", options=("--workers", "1")) as service:
        made = service.request(
            "POST",
            "/api/v1/imports?identity_type=SERIAL_NUMBER",
            data=a_bundle(["A12BC3D4EFGH"]),
            headers={"Content-Type": "application/zip", "Prefer": "wait=30"},
        )
        import_id = made.json()["id"]
        [worker], web = service.worker_pids, service.web_pid
        os.kill(worker, signal.SIGKILL)  # its supervisor tells of it
        os.kill(web, signal.SIGKILL)  # so does the server
        wait_until(lambda: "Unexpected exit" in service.log and "is replaced" in service.log, 60)
        wait_until(lambda: service.log.count('"worker joined"') == 2, 60)
    told = events(service)

    assert made.status_code == 201
    followed = [(line["event"], line["level"]) for line in told if line.get("import_id") == import_id]
    assert followed == [
        ("import accepted", "info"),
        ("import begins", "info"),
        ("import finished", "info"),
        ("request", "info"),
    ]
    [end] = [line for line in told if line["event"] == "import finished"]
    assert (end["state"], end["created"], end["failed"]) == ("succeeded", 1, 0)
    [line] = [line for line in told if line["event"] == "request" and line.get("import_id")]
    assert (line["source"], line["actor"], line["method"]) == ("127.0.0.1", "administrator", "POST")
    assert {"serving", "worker joined", "worker left", "Unexpected exit from worker-1"} <= {
        line["event"] for line in told
    }
    assert all({"event", "level", "timestamp"} <= line.keys() for line in told)


@pytest.mark.live
@pytest.mark.xdist_group("live")
def test_a_service_that_does_not_start_says_so_in_json(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "BULKCERT_DATA_DIR": str(tmp_path / "nothing")}
    for command in ("serve", "worker", "deployer"):
        done = subprocess.run(
            [sys.executable, "-m", "bulkcert", command],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        [line] = map(json.loads, done.stderr.splitlines())

        assert (done.returncode, line["event"]) == (1, f"{command} does not start")
        assert (line["code"], line["level"]) == ("not_initialised", "critical")
        assert str(tmp_path / "nothing") in line["detail"]
