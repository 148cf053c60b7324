"""The marks of a test, and the fast set (`make test-fast`): no server, no process, no PostgreSQL, no fault, little time.

`live` stands at the tests that need the shipped server (`tests/live/service.py`). The other marks are set here, by
folder and by fixture; `slow` also stands by hand at a few tests that take more than about 0.3 s of processor time.
A test of the fast set that starts a process or opens a server's socket fails, and says which mark it lacks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

HERE = Path(__file__).parent
LEFT_OUT = ("live", "postgres", "faults", "slow")
"""The marks that keep a test out of the fast set."""
EXAMPLES = 20
"""The most examples of a property in the fast set; the other runs take as many as the test asks for."""

SLOW_PLACES = (
    "api/test_heads.py",
    "cli/test_serve.py",
    "deploy/test_package.py",  # builds the wheel and the sdist
    "deployments/mdm/nanomdm/",  # these listen on a socket, as NanoMDM does
    "deployments/mdm/test_carrier.py",
    "deployments/mdm/test_forged_rows.py",
    "deployments/mdm/test_long_stories.py",
    "deployments/mdm/test_pins.py",
    "deployments/mdm/test_webhook.py",
    "formats/pkcs12/test_tools.py",
    "opening/test_confinement.py",
    "opening/test_memory.py",
    "opening/test_opener.py",
    "processes/test_web.py",
    "store/test_pages.py",
    "test_ports.py",
)
"""Folders and files whose tests start a process, open a server's socket, or take long."""
SLOW_FIXTURES = frozenset({"make_opener", "opener", "worker"})
"""Fixtures that start a process, and the worker of the API's tests: a whole import for each test."""
PROCESS_OR_SERVER = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "socket.bind"}
)
"""Audit events of the Python runtime (PEP 578)."""


def marks_of(path: Path, fixtures: list[str], values: list[object]) -> set[str]:
    """Return the marks of a test, by its file, its fixtures and the values of its parameters."""
    place = path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else ""
    names = {*fixtures, *(value for value in values if isinstance(value, str))}
    marks = set()
    if names & {"postgres", "postgresql"}:
        marks.add("postgres")
    if place.startswith("faults/"):
        marks.add("faults")
    if place.startswith(SLOW_PLACES) or SLOW_FIXTURES.intersection(fixtures):
        marks.add("slow")
    return marks


def is_left_out(path: Path) -> bool:
    """Tell whether nothing of a file or folder can be in the fast set; it is not even imported."""
    place = path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else ""
    return place in {"live", "faults", "generated"} or place.endswith("_live.py")


def reduce_examples(function: Any) -> None:
    """Give a property with a number of examples of its own no more than `EXAMPLES`."""
    own = getattr(function, "_hypothesis_internal_use_settings", None)
    if own is not None and own.max_examples > EXAMPLES:
        function._hypothesis_internal_use_settings = hypothesis.settings(own, max_examples=EXAMPLES)


class FastSet:
    """A pytest plugin that leaves out the marked tests, and fails an unmarked one that ought to have a mark."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._watched = PROCESS_OR_SERVER  # module globals are gone when the interpreter ends
        sys.addaudithook(self.note)

    def note(self, event: str, _: object) -> None:
        """Keep an audit event, where it is the start of a process or a server."""
        if event in self._watched:
            self.seen.append(event)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if is_left_out(collection_path) else None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        left_out = [item for item in items if any(item.get_closest_marker(name) for name in LEFT_OUT)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
        for item in items:
            reduce_examples(getattr(item, "function", None))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        self.seen.clear()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        yield
        if self.seen:
            pytest.fail(
                f"{item.nodeid} is in the fast set and caused {sorted(set(self.seen))}: mark it `slow`, or give its "
                "folder or fixture the mark in tests/fast.py.",
                pytrace=False,
            )
