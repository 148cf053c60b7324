"""What does not fit together is told with the path that was looked at, where that comes from, and what to do."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bulkcert.cli import main
from bulkcert.config import Config
from bulkcert.errors import SpoolMissing
from bulkcert.values.secret import Secret
from bulkcert.wiring.initialisation import initialise
from bulkcert.wiring.installation import check_spool, open_installation

COMMANDS = ["init", "check", "serve --port 4999", "worker", "user list", "db upgrade"]


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installation") / "data"
    initialise(
        Config.from_environment({"BULKCERT_DATA_DIR": str(directory)}), Secret(b"correct horse battery")
    )
    return directory


@pytest.fixture
def data_dir(initialised: Path, tmp_path: Path) -> Path:
    return shutil.copytree(initialised, tmp_path / "data")


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("bulkcert.cli.memory.protect", lambda: False)
    for command in ("serve", "worker"):
        monkeypatch.setattr(sys.modules[f"bulkcert.cli.{command}"], "configure_logging", lambda _: None)

    def run(command: str, data_dir: Path | None) -> Result:
        mask = os.umask(0o022)
        environment = {"BULKCERT_DATA_DIR": None if data_dir is None else str(data_dir)}
        try:
            return CliRunner(env=environment).invoke(main, command.split())
        finally:
            os.umask(mask)

    return run


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "init"])
def test_in_another_directory_the_path_is_named_and_init_is_not_advised_blindly(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(command, None)

    assert done.exit_code == 1
    assert str(tmp_path / "bulkcert-data" / "bulkcert.sqlite3") in done.output
    assert (
        f"BULKCERT_DATA_DIR is not set, so the data directory is bulkcert-data in the current directory ({tmp_path})"
        in done.output
    )
    assert "Set BULKCERT_DATA_DIR to the data directory of the service that exists" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_database_without_its_master_key_has_one_text_everywhere(run: Run, data_dir: Path) -> None:
    (data_dir / "master.key").unlink()
    text = (
        f"There is no master key at {data_dir / 'master.key'}, but the database at"
        f" {data_dir / 'bulkcert.sqlite3'} was sealed with one. BULKCERT_DATA_DIR is set to {data_dir}."
    )

    for command in COMMANDS[:-1]:  # an upgrade reads no secrets
        done = run(command, data_dir)
        assert (done.exit_code, text in done.output) == (1, True), done.output
        assert "Restore the master key from its backup" in done.output


def test_a_master_key_without_its_database_does_not_ask_for_init(run: Run, data_dir: Path) -> None:
    (data_dir / "bulkcert.sqlite3").unlink()
    done = run("user list", data_dir)

    assert f"no database at {data_dir / 'bulkcert.sqlite3'}" in done.output
    assert "Restore the database from its backup" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_schema_is_told_in_a_sentence(run: Run, data_dir: Path, command: str) -> None:
    with closing(sqlite3.connect(data_dir / "bulkcert.sqlite3", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    connection.close()
    done = run(command, data_dir)

    assert done.exit_code == 1
    assert f"{data_dir / 'bulkcert.sqlite3'}: schema 0099 is newer than this release" in done.output
    assert "Run that release again" in done.output
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_database_is_named(run: Run, data_dir: Path, command: str) -> None:
    for path in data_dir.glob("bulkcert.sqlite3*"):
        path.unlink()
    (data_dir / "bulkcert.sqlite3").write_bytes(b"half a backup " * 1000)
    done = run(command, data_dir)

    assert f"{data_dir / 'bulkcert.sqlite3'}: the file is no SQLite database" in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS[:-1])
def test_a_master_key_of_another_user_is_named_with_the_reason(
    run: Run, data_dir: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "master.key":  # root, as which tests often run, may read everything
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    done = run(command, data_dir)

    assert done.exit_code == 1
    assert f"The master key {data_dir / 'master.key'} cannot be read: permission denied." in done.output
    assert "as the user that owns the data directory" in done.output


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize(("closed", "told"), [
    ("", "cannot be looked at: permission denied"),
    ("master.key", "master.key cannot be read: permission denied"),
    ("bulkcert.sqlite3", "bulkcert.sqlite3 cannot be read and written: permission denied"),
    ("spool", "spool cannot be written: permission denied"),
])  # fmt: skip
def test_what_another_user_owns_is_told_and_not_traced_back(
    initialised: Path, closed: str, told: str
) -> None:  # fmt: skip
    nobody = 65534
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to others
        Path(directory).chmod(0o711)
        data_dir = shutil.copytree(initialised, Path(directory) / "data")
        for path in (data_dir, *data_dir.rglob("*")):
            if path != data_dir / closed:
                os.chown(path, nobody, nobody)
        text = refusal_for(nobody, data_dir)

    assert text.startswith("NoAccess: ")
    assert told in text
    assert "BULKCERT_DATA_DIR is set to" in text


def refusal_for(user: int, data_dir: Path) -> str:
    """What a process of another user is told."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            config = Config.from_environment({"BULKCERT_DATA_DIR": str(data_dir)})
            open_installation(config)
            check_spool(config)
        except BaseException as refusal:
            os.write(writing, f"{type(refusal).__name__}: {refusal}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_a_spool_that_a_backup_does_not_hold_is_made_by_init(run: Run, data_dir: Path) -> None:
    (data_dir / "spool").rmdir()
    config = Config.from_environment({"BULKCERT_DATA_DIR": str(data_dir)})

    with pytest.raises(SpoolMissing, match=str(data_dir / "spool")):
        check_spool(config)
    refused = run("serve --port 4999", data_dir)
    assert (refused.exit_code, "Run `bulkcert init`" in refused.output) == (1, True)

    made = run("init", data_dir)
    assert (
        "already initialised: the spool folder and the TLS certificate made, nothing else changed"
        in made.output
    )
    check_spool(config)


@pytest.mark.slow
def test_serve_says_what_makes_missing_tls_files(run: Run, data_dir: Path) -> None:
    done = run("serve --port 4999", data_dir)

    assert done.exit_code == 1
    assert f"no certificate for the HTTPS server at {data_dir / 'tls' / 'certificate.pem'}" in done.output
    assert "run `bulkcert init`: it makes a self-signed certificate" in done.output


def test_a_folder_that_cannot_be_made_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("init", tmp_path / "file")

    assert done.exit_code == 1
    assert (
        f"The folder {tmp_path / 'file'} cannot be made: file exists. BULKCERT_DATA_DIR is set to"
        in done.output
    )


def test_the_password_of_a_database_is_never_named() -> None:
    url = "postgresql://bulkcert:hunter2@db.example.com:5432/fleet?sslmode=require"
    config = Config.from_environment({"BULKCERT_DATABASE_URL": url})

    assert config.database_name == "PostgreSQL database fleet on db.example.com:5432"


@pytest.mark.slow
def test_a_database_server_that_does_not_answer_is_named_without_the_password(
    run: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKCERT_DATABASE_URL", "postgresql://bulkcert:hunter2@127.0.0.1:1/fleet")
    done = run("check", data_dir)

    assert done.exit_code == 1
    assert (
        "PostgreSQL database fleet on 127.0.0.1:1: The database is busy or cannot be reached." in done.output
    )
    assert "hunter2" not in done.output


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["client create x --scope imports:read --json", "user list", "session list", "db upgrade", "init"],
)
def test_what_a_command_logs_does_not_stand_in_its_output(data_dir: Path, command: str) -> None:
    """In a process of its own: loggers that another test has used keep the form that they had then."""
    url = "postgresql://bulkcert:hunter2@127.0.0.1:1/fleet"
    done = subprocess.run(
        [sys.executable, "-m", "bulkcert", *command.split()],
        env=os.environ | {"BULKCERT_DATABASE_URL": url, "BULKCERT_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    told, refusal, _ = done.stderr.splitlines()
    assert told.startswith("bulkcert: the database cannot be reached (reason: ")
    assert told.endswith("Connection refused)")
    assert refusal.startswith("bulkcert: PostgreSQL database fleet on 127.0.0.1:1: ")
