"""Log lines are JSON on standard error, and never in the way of what they tell of."""

import json
import subprocess
import sys

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
