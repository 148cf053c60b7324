"""The commands for a backup in the operations guide work as it says, and the files they write are private."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bulkcert.cli import main
from bulkcert.cli.tls import make_certificate
from bulkcert.config import Config
from bulkcert.values.secret import Secret
from bulkcert.wiring.initialisation import initialise
from tests.paths import ROOT

GUIDE = (ROOT / "docs" / "operations.md").read_text()


def documented_commands() -> str:
    [section] = re.findall(r"^### Backup and restore\n(.*?)(?=^#|\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    [block] = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return block


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the command sqlite3")
def test_a_backup_is_private_and_a_restored_service_is_whole_after_init(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    environment = {"BULKCERT_DATA_DIR": str(data_dir)}
    initialise(Config.from_environment(environment), Secret(b"correct horse battery"))
    make_certificate(data_dir / "tls", [])
    for name in ("backup", "keys"):
        (tmp_path / name).mkdir()
    script = re.sub(r"/(backup|keys)/", rf"{tmp_path}/\1/", documented_commands())
    mask = os.umask(0o022)  # what most shells begin with
    try:
        subprocess.run(["sh", "-euc", script], cwd=data_dir, check=True)
    finally:
        os.umask(mask)

    written = [path for name in ("backup", "keys") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert {path.name for path in written} == {"bulkcert.sqlite3", "master.key", "certificate.pem", "key.pem"}
    assert {oct(path.stat().st_mode & 0o777) for path in written} == {"0o600"}

    restored = tmp_path / "restored"
    shutil.copytree(tmp_path / "backup", restored)
    shutil.copy(tmp_path / "keys" / "master.key", restored)
    runner = CliRunner(env={"BULKCERT_DATA_DIR": str(restored)})
    assert "spool" in runner.invoke(main.commands["check"]).output
    made = runner.invoke(main.commands["init"])
    assert "already initialised: the spool folder made, nothing else changed" in made.output
    assert runner.invoke(main.commands["check"]).exit_code == 0


def test_what_a_guide_says_of_postgresql_is_private_too() -> None:
    assert "(umask 077; pg_dump " in GUIDE
