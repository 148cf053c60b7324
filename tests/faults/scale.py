"""How large the fault tests are: bounded in `.ci/run`, in full with TORTURE=1 (`make torture`)."""

import os
from typing import TypeVar

import pytest

from tests.live.service import LIVE

T = TypeVar("T")

TORTURE = os.environ.get("TORTURE") == "1"


def sized(bounded: T, full: T) -> T:
    """One of two values, by the size of this run."""
    return full if TORTURE else bounded


FAULTS = [*LIVE, pytest.mark.timeout(sized(600, 7200))]
