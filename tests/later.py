"""The tests at a later date: `TESTS_YEARS_AHEAD=5` moves the clock of the test process, which goes on ticking.

Other processes (PostgreSQL, openssl, a served service) keep the real clock, so tests that start some are left out
there: `make test-later`.
"""

import os
import time
from datetime import UTC, datetime, timedelta

import time_machine

YEAR = timedelta(days=365.2425)


def travel() -> None:
    """Move the clock to the date that the environment asks for, if it does, until the process ends."""
    if years := float(os.environ.get("TESTS_YEARS_AHEAD", "0")):
        time_machine.travel(datetime.now(UTC) + years * YEAR, tick=True).start()
        time.time()  # the clock goes on from the first look at it
