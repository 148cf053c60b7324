"""What `make` installs: two locks that hold everything, and a Python that is too old is refused in one line."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.paths import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-ci.lock")


def locked(name: str) -> dict[str, str]:
    """The version of each package of a lock, by the package's name with its extras."""
    return dict(re.findall(r"^([\w.\[\],-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def bare(requirement: str) -> str:
    """The name of a requirement without versions."""
    return re.match(r"[\w.\[\],-]+", requirement)[0].lower()  # type: ignore[index]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_its_hashes(lock: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())

    assert len(entries) == len(locked(lock))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_for_running_holds_what_the_project_needs_and_nothing_for_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {bare(requirement) for requirement in project["project"]["dependencies"]}
    for_tests = {bare(requirement) for requirement in project["dependency-groups"]["test"]}

    assert needed <= set(locked("requirements.lock"))
    assert not for_tests & set(locked("requirements.lock"))


def test_the_lock_for_developing_holds_the_same_releases_and_more() -> None:
    running, developing = locked("requirements.lock"), locked("requirements-dev.lock")

    assert running.items() < developing.items()


@pytest.fixture
def old_python(tmp_path: Path) -> Path:
    """A Python that says it is 3.9.2."""
    path = tmp_path / "python3"
    pretend = 'import sys; sys.version_info = (3, 9, 2, "final", 0); exec(sys.argv[2])'
    path.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{pretend}' \"$@\"\n")
    path.chmod(0o755)
    return path


def ask_make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with nothing installed, so that it begins at the beginning."""
    if not (make := shutil.which("make")):
        pytest.skip("needs make")
    command = [make, "--no-print-directory", "VENV=there-is-no-such-folder", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["demo", "test", "install"])
def test_a_python_that_is_too_old_is_refused_in_one_line(old_python: Path, target: str) -> None:
    done = ask_make(target, f"PYTHON={old_python}")

    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert f"bulkcert needs Python 3.11 or newer; {old_python} is 3.9.2." in line
    assert re.search(rf"[Tt]ype: make {target} PYTHON=python3\.1[1-9]\.", line)


@pytest.mark.slow
def test_a_python_that_is_missing_is_refused_in_one_line() -> None:
    done = ask_make("demo", "PYTHON=no-such-python")

    [line] = done.stderr.splitlines()
    assert "no-such-python is missing" in line


@pytest.mark.slow
def test_the_demo_installs_what_running_needs_and_no_more() -> None:
    done = ask_make("--dry-run", "demo", f"PYTHON={sys.executable}")

    installed = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert [re.search(r"-r (\S+)", line)[1] for line in installed] == ["requirements.lock"]  # type: ignore[index]
    assert "--no-deps --require-hashes" in installed[0]
