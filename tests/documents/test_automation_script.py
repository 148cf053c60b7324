"""docs/automation.sh runs as it stands: a new client imports, corrects, imports again, and releases a key."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.arguments import WatchedCommands
from tests.builders import a_credentials_file, a_pkcs12, a_zip
from tests.live.service import LIVE, LiveService
from tests.live.witnesses import require
from tests.paths import ROOT

pytestmark = LIVE

DOCS = ROOT / "docs"
SCRIPT = DOCS / "automation.sh"


def make_input(place: Path) -> None:
    """A bundle whose second and third device fail, and the corrected files of these two."""
    names = ("AUTOMATION01", "AUTOMATION02", "AUTOMATION03")
    files = {name: a_pkcs12(name, f"password of {name}") for name in names}
    entries = {f"{name}.p12": file for name, file in files.items()}
    entries["AUTOMATION03.p12"] = entries["AUTOMATION03.p12"][:500]
    passwords = {name: f"password of {name}" for name in files}
    entries["credential.txt"] = a_credentials_file(passwords | {"AUTOMATION02": "a slip"})
    (place / "devices.zip").write_bytes(a_zip(entries))
    corrected = place / "corrected"
    corrected.mkdir()
    for name in ("AUTOMATION02", "AUTOMATION03"):
        (corrected / f"{name}.p12").write_bytes(files[name])
    right = {name: passwords[name] for name in ("AUTOMATION02", "AUTOMATION03")}
    (corrected / "credential.txt").write_bytes(a_credentials_file(right))


def fingerprint_of(file: Path, password: str) -> str:
    _, leaf, _ = pkcs12.load_key_and_certificates(file.read_bytes(), password.encode())
    assert leaf is not None
    return leaf.fingerprint(hashes.SHA256()).hex(":").upper()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("automation") / "data") as service:
        yield service


def run_script(
    service: LiveService,
    place: Path,
    shell: str = "sh",
    script: Path = SCRIPT,
    arguments: tuple[str, ...] = ("devices.zip", "corrected/"),
    **other: str,
) -> subprocess.CompletedProcess[str]:
    commands = Path(sys.executable).parent  # where `bulkcert` is
    environment = {
        "URL": service.base_url,
        "CA": str(service.ca_file),
        "CLIENT": str(place.parent / "credentials" / "client.json"),
        "TMPDIR": str(place.parent / "tmp"),
        "PATH": f"{commands}:{os.environ['PATH']}",
    }
    return subprocess.run(
        [shell, script, *arguments],
        cwd=place,
        env=service.environment | environment | other,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for tool in ("curl", "openssl", "python3"):
        require(tool)
    (tmp_path / "tmp").mkdir()
    place = tmp_path / "place"
    place.mkdir()
    make_input(place)
    return place


def files_of(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


def test_the_script_does_the_whole_round_and_can_do_it_again(
    tmp_path: Path, place: Path, service: LiveService
) -> None:
    before = files_of(place)
    done = run_script(service, place, "dash")
    client = (tmp_path / "credentials" / "client.json").read_bytes()
    again = run_script(service, place, "bash")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "AUTOMATION02.p12,AUTOMATION02,failed,wrong_password," in done.stdout
    assert "AUTOMATION03.p12,AUTOMATION03,failed,malformed_pkcs12," in done.stdout
    assert again.returncode == 0, again.stdout + again.stderr
    assert (tmp_path / "credentials" / "client.json").read_bytes() == client
    assert (tmp_path / "credentials" / "client.json").stat().st_mode & 0o077 == 0

    taken_out = fingerprint_of(place / "corrected" / "AUTOMATION02.p12", "password of AUTOMATION02")
    assert f"Fingerprint={taken_out}" in done.stdout  # the script has proven that the key belongs to it
    assert files_of(place) == before
    assert files_of(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"CA": "no-such-file"}, "curl: (77)"),
        ({"URL": "https://localhost:9"}, "Failed to connect"),
    ],
    ids=["no certificate", "no service"],
)
def test_the_script_says_why_it_cannot_reach_the_service(
    other: dict[str, str], said: str, tmp_path: Path, place: Path, service: LiveService
) -> None:
    before = files_of(place)
    done = run_script(service, place, **other)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "No such file" not in done.stderr.replace("no-such-file", "")
    assert files_of(place) == before
    assert files_of(tmp_path / "tmp") == []


def test_the_script_ends_where_a_request_is_refused(
    tmp_path: Path, place: Path, service: LiveService
) -> None:
    (place / "devices.zip").write_bytes(b"not a zip")
    done = run_script(service, place)

    assert done.returncode == 1
    assert "not_a_zip" in done.stderr
    assert files_of(tmp_path / "tmp") == []


def test_the_script_names_the_file_that_was_not_corrected(place: Path, service: LiveService) -> None:
    (place / "corrected" / "AUTOMATION03.p12").unlink()
    done = run_script(service, place)

    assert done.returncode == 1
    assert done.stderr == "automation.sh: corrected/AUTOMATION03.p12 is missing\n"


def test_a_bundle_of_which_nothing_fails_needs_no_corrected_files(place: Path, service: LiveService) -> None:
    done = run_script(service, place, arguments=(str(DOCS.parent / "sample_bundles" / "serial-numbers.zip"),))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Fingerprint=" in done.stdout


def test_failures_without_a_folder_of_corrected_files_are_shown_before_it_is_asked_for(
    place: Path, service: LiveService
) -> None:
    done = run_script(service, place, arguments=("devices.zip",))

    assert done.returncode == 1
    assert "AUTOMATION03.p12,AUTOMATION03,failed,malformed_pkcs12," in done.stdout
    assert done.stderr == (
        "automation.sh: give a folder with the corrected files: usage: automation.sh BUNDLE [CORRECTED-FOLDER]\n"
    )


def test_the_script_finds_the_command_in_the_environment_of_its_checkout(
    tmp_path: Path, place: Path, service: LiveService
) -> None:
    script = tmp_path / "checkout" / "docs" / "automation.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, script)
    path = {"PATH": "/usr/bin:/bin"}
    missing = run_script(service, place, script=script, **path)
    command = tmp_path / "checkout" / ".venv" / "bin" / "bulkcert"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bulkcert "$@"\n')
    command.chmod(0o700)
    found = run_script(service, place, script=script, **path)

    assert missing.returncode == 1
    assert "no command bulkcert on PATH or in .venv" in missing.stderr
    assert found.returncode == 0, found.stdout + found.stderr
    assert files_of(tmp_path / "checkout" / "docs") == ["automation.sh"]


def test_no_secret_stands_in_the_arguments_of_a_process(
    tmp_path: Path, place: Path, service: LiveService
) -> None:
    watched = WatchedCommands(tmp_path, "curl", "openssl", "python3")
    commands = f"{watched.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = run_script(service, place, PATH=commands)
    client = json.loads((tmp_path / "credentials" / "client.json").read_text())

    assert done.returncode == 0, done.stdout + done.stderr
    assert watched.arguments.count("--fail-with-body") >= 5
    assert "pkcs12" in watched.arguments
    assert client["client_secret"] not in watched.arguments
    assert not re.search(r"bcs_|eyJ|pass:", watched.arguments)


def test_the_script_is_short() -> None:
    lines = [line for line in SCRIPT.read_text().splitlines() if line and not line.startswith("#")]

    assert len(lines) <= 60
