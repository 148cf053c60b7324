"""The fast set is what its name says, and a test of one value loads no more than it needs."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from tests import fast
from tests.paths import ROOT


@pytest.mark.parametrize(
    ("place", "fixtures", "values", "expected"),
    [
        ("values/test_secret.py", [], [], set()),
        ("store/test_traces.py", ["any_store", "request"], ["sqlite"], set()),
        ("store/test_traces.py", ["any_store", "request"], ["postgresql"], {"postgres"}),
        ("store/test_traces.py", ["postgres_store", "postgres"], [7, None], {"postgres"}),
        ("faults/test_backup.py", ["site"], [], {"faults"}),
        ("imports/test_fairness.py", ["opener", "verbs"], [], {"slow"}),
        ("wiring/test_installation.py", ["command", "run"], ["worker"], set()),
        ("deployments/mdm/nanomdm/test_server.py", ["mdm"], [], {"slow"}),
    ],
)
def test_marks_follow_from_folder_fixtures_and_parameters(
    place: str, fixtures: list[str], values: list[object], expected: set[str]
) -> None:
    assert fast.marks_of(fast.HERE / place, fixtures, values) == expected


def test_every_place_of_the_slow_tests_exists() -> None:
    assert [place for place in fast.SLOW_PLACES if not (fast.HERE / place).exists()] == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("live", True),
        ("faults", True),
        ("deployments/test_example_deployer_live.py", True),
        ("live_values", False),
        ("values/test_secret.py", False),
    ],
)
def test_what_only_has_tests_of_other_sets_is_not_imported(place: str, expected: bool) -> None:
    assert fast.is_left_out(fast.HERE / place) is expected


def test_what_starts_a_process_or_a_server_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "addaudithook", lambda _: None)  # a hook stays until the process ends
    fast_set = fast.FastSet()
    for event in ("open", "subprocess.Popen", "socket.bind", "os.posix_spawn"):
        fast_set.note(event, ())

    assert fast_set.seen == ["subprocess.Popen", "socket.bind", "os.posix_spawn"]


def test_a_property_with_many_examples_has_fewer_in_the_fast_set(request: pytest.FixtureRequest) -> None:
    tried: list[int] = []

    @hypothesis.settings(max_examples=500, deadline=None, database=None)
    @hypothesis.given(strategies.integers())
    def count(number: int) -> None:
        tried.append(number)

    fast.reduce_examples(count)
    count()

    assert 0 < len(tried) <= fast.EXAMPLES


SCRIPT = """
import sys
import pytest

assert pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]) == 0
print(*sys.modules, sep="\\n")
"""


@pytest.mark.slow
def test_a_test_of_one_value_loads_nothing_else_of_the_product() -> None:
    command = [sys.executable, "-c", SCRIPT, "tests/values/test_secret.py"]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())

    assert {name for name in loaded if name.partition(".")[0] == "bulkcert"} == {
        "bulkcert",
        "bulkcert.values",
        "bulkcert.values.secret",
    }
    assert loaded.isdisjoint({"sqlalchemy", "flask", "alembic", "cryptography", "psycopg", "schemathesis"})


@pytest.mark.slow
def test_a_test_of_the_fast_set_that_starts_a_process_fails(tmp_path: Path) -> None:
    """Run under `--fast` in a process of its own, as `make test-fast` does."""
    test = tmp_path / "test_it.py"
    test.write_text("import subprocess\n\ndef test_it():\n    subprocess.run(['true'])\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    run = subprocess.run(
        [*command, "--fast", "--rootdir", ROOT, "-c", ROOT / "pyproject.toml", test],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert run.returncode == 1
    assert "subprocess.Popen" in run.stdout
    assert "mark it `slow`" in run.stdout
