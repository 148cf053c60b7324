"""The tests run at the date that they are asked to run at."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from tests.builders import NOW
from tests.later import YEAR


def real_time() -> float:
    """The time in another process, whose clock is nobody's but the machine's."""
    command = [sys.executable, "-c", "import time; print(time.time())"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_the_clock_is_as_far_ahead_as_the_environment_says() -> None:
    ahead = float(os.environ.get("TESTS_YEARS_AHEAD", "0")) * YEAR.total_seconds()
    before = real_time()

    assert -1 < time.time() - ahead - before < 30
    assert abs(datetime.now(UTC).timestamp() - time.time()) < 1
    assert abs(NOW.timestamp() - time.time()) < 3600


def test_the_clock_goes_on() -> None:
    before, began = time.time(), time.monotonic()
    time.sleep(0.05)

    assert abs((time.time() - before) - (time.monotonic() - began)) < 0.02
