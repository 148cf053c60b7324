"""The units, and what stands beside them, are what systemd takes, and confine the services."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bulkcert.cli import main
from tests.live.service import LiveService, wait_until
from tests.paths import ROOT

SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = ["bulkcert-api.service", "bulkcert-worker.service", "bulkcert-deployer.service"]
COMMAND = "/opt/bulkcert/bin/bulkcert"

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, timeout=60
    )


def settings_of(unit: str, name: str) -> list[str]:
    """Every value of a setting in a unit and its drop-in."""
    text = (SYSTEMD / unit).read_text() + (SYSTEMD / "bulkcert-.service.d" / "hardening.conf").read_text()
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


@pytest.fixture
def installed(tmp_path) -> Path:
    """The units as they would be on a machine, with a command that exists here."""
    folder = shutil.copytree(SYSTEMD, tmp_path / "system")
    for unit in UNITS:
        text = (folder / unit).read_text()
        (folder / unit).write_text(text.replace(COMMAND, sys.executable))
    return folder


@pytest.mark.slow
@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(installed, unit):
    done = run("systemd-analyze", "verify", "--man=no", installed / unit)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_exposed_by_two_points_of_ten_at_most(installed, unit):
    done = run(
        "systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", installed / unit
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_starts_a_command_that_takes_its_options(unit):
    [line] = settings_of(unit, "ExecStart")
    path, command, *options = line.split()

    assert path == COMMAND
    main.commands[command].make_context(command, options)  # raises where an option is unknown


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_up_when_the_service_says_so_and_leaves_it_time_to_stop(unit):
    assert settings_of(unit, "Type") == ["notify"]
    assert settings_of(unit, "KillMode") == ["mixed"]
    assert settings_of(unit, "User") == ["bulkcert"]


@pytest.mark.slow
@needs_systemd
@needs_root
def test_user_and_directories_are_made_as_they_are_wanted(tmp_path):
    for folder in ("etc/bulkcert", "var/lib"):
        (tmp_path / folder).mkdir(parents=True)
    settings = tmp_path / "etc" / "bulkcert" / "bulkcert.env"
    settings.touch(mode=0o644)
    for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
        options = ["--create"] if name == "tmpfiles" else []
        done = run(tool, *options, f"--root={tmp_path}", SYSTEMD / f"bulkcert.{name}.conf")
        assert done.returncode == 0, done.stderr

    entry = (tmp_path / "etc" / "passwd").read_text().split(":")
    assert entry[0] == "bulkcert"
    assert entry[-2:] == ["/var/lib/bulkcert", "/usr/sbin/nologin\n"]
    uid, gid = int(entry[2]), int(entry[3])
    kept, configured = (tmp_path / "var" / "lib" / "bulkcert").stat(), settings.stat()
    assert (stat.S_IMODE(kept.st_mode), kept.st_uid, kept.st_gid) == (0o700, uid, gid)
    assert (stat.S_IMODE(configured.st_mode), configured.st_uid, configured.st_gid) == (0o640, 0, gid)


# --- the system calls that the units allow -----------------------------------------------------------


def calls_of(name: str) -> set[str]:
    """The system calls of a name in `SystemCallFilter=`: a group's, those of its groups too."""
    if not name.startswith("@"):
        return {name}
    lines = run("systemd-analyze", "syscall-filter", name).stdout.splitlines()[1:]
    words = {line.strip() for line in lines} - {""}
    return set().union(*(calls_of(word) for word in words if not word.startswith("#")))


def allowed_calls() -> set[str]:
    allowed: set[str] = set()
    for value in settings_of("bulkcert-api.service", "SystemCallFilter"):
        calls = set().union(*(calls_of(name) for name in value.removeprefix("~").split()))
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


OF_ROOT_ALONE = {"fchown"}
"""SQLite gives its files the owner of the database where it runs as root, as a test may."""


class _Traced(LiveService):
    """A service whose system calls are counted."""

    def _start(self, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            # -D: strace is a child of the service, so that signals reach the service.
            command = ["strace", "-D", "-f", "-qq", "-c", "-U", "name", "-o", str(self.trace)]
            command += [sys.executable, "-m", "bulkcert", "serve", "--port", str(self.port), *options]
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    @property
    def trace(self) -> Path:
        return self.data_dir.with_name("calls")


@pytest.mark.live
@pytest.mark.xdist_group("live")
@needs_systemd
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_a_service_that_imports_makes_no_call_that_the_units_forbid(tmp_path):
    with _Traced(tmp_path / "data", options=("--workers", "1")) as service:
        with (ROOT / "sample_bundles" / "serial-numbers.zip").open("rb") as bundle:
            answer = service.request(
                "POST",
                "/api/v1/imports",
                headers={"Prefer": "wait=60"},
                data={"identity_type": "SERIAL_NUMBER"},
                files={"bundle": bundle},
            )
        assert answer.json()["state"] == "succeeded"
        trace = service.trace
    wait_until(lambda: trace.exists() and trace.stat().st_size > 0)
    made = {line.strip() for line in trace.read_text().splitlines() if re.fullmatch(r"\s*\w+", line)}

    assert {"execve", "openat", "pread64", "setrlimit", "prlimit64"} & made
    assert made - allowed_calls() - OF_ROOT_ALONE - {"syscall", "total", "name"} == set()
