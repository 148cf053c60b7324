"""Processes that hold keys cannot be read by others of their user, and are not swapped where that is allowed."""

import subprocess
import sys
from pathlib import Path

import pytest

PROTECTED = """
import ctypes, pathlib, resource
from bulkcert.opening import memory
{before}
locked = memory.protect()
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
status = pathlib.Path("/proc/self/status").read_text()
swappable = "VmLck:\t       0 kB" in status
print(locked, dumpable, resource.getrlimit(resource.RLIMIT_CORE)[0], swappable)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("limit", "expected"),
    [("(65536, 65536)", "False 0 0 True"), ("(resource.RLIM_INFINITY,) * 2", "True 0 0 False")],
)
def test_memory_is_hidden_and_locked_where_the_limit_allows(limit: str, expected: str) -> None:
    before = f"resource.setrlimit(resource.RLIMIT_MEMLOCK, {limit})"
    done = subprocess.run(
        [sys.executable, "-c", PROTECTED.format(before=before)], capture_output=True, text=True, check=False
    )
    if "not allowed to raise maximum limit" in done.stderr:
        pytest.skip("needs the right to lock memory")

    assert done.stdout.strip() == expected
