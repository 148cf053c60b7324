"""The service starts on what `init` made, and on nothing else."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkcert.config import Config
from bulkcert.errors import (
    BadSettings,
    DatabaseMissing,
    MasterKeyExposed,
    MasterKeyMissing,
    NotInitialised,
    SchemaOutdated,
    WrongMasterKey,
)
from bulkcert.store.store import Store
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import new_master_key, write_key_file
from bulkcert.wiring.checks import check_start
from bulkcert.wiring.initialisation import ADMINISTRATOR, initialise
from bulkcert.wiring.service import connect
from bulkcert.wiring.work import make_work

PASSWORD = Secret(b"correct horse battery")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.from_environment({"BULKCERT_DATA_DIR": str(tmp_path / "data")})


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_init_makes_a_service_that_the_administrator_can_log_in_to(config: Config) -> None:
    assert initialise(config, PASSWORD) is True
    service = connect(config)

    assert service.access.log_in(ADMINISTRATOR, PASSWORD, "192.0.2.1").login == ADMINISTRATOR
    assert service.is_ready()
    service.close()


@pytest.mark.parametrize("password", [b"elevenchars", b"Password1234", b"\xff" * 12])
def test_init_takes_no_password_that_is_easy_to_guess_and_makes_nothing(
    config: Config, password: bytes
) -> None:
    with pytest.raises(BadSettings) as refused:
        initialise(config, Secret(password))

    assert [fault.where for fault in refused.value.faults] == ["BULKCERT_ADMIN_PASSWORD"]
    assert not config.data_dir.exists()


def test_a_master_key_that_others_can_read_stops_the_start_unless_a_setting_allows_it(config: Config) -> None:
    initialise(config, PASSWORD)
    (config.data_dir / "master.key").chmod(0o640)

    for start in (check_start, connect, make_work):
        with pytest.raises(MasterKeyExposed, match="chmod 600"):
            start(config)
    with pytest.raises(MasterKeyExposed):
        initialise(config, PASSWORD)
    connect(dataclasses.replace(config, master_key_shared=True)).close()


def test_init_twice_changes_nothing(config: Config) -> None:
    initialise(config, PASSWORD)
    before = contents(config.data_dir)

    assert initialise(config, Secret(b"another password")) is False
    assert contents(config.data_dir) == before


def test_what_init_makes_is_for_its_owner_alone(config: Config) -> None:
    initialise(config, PASSWORD)

    assert config.data_dir.stat().st_mode & 0o077 == 0
    assert (config.data_dir / "master.key").stat().st_mode & 0o777 == 0o600


def test_an_init_that_was_interrupted_is_completed_by_the_next(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("bulkcert.access.logins.Access.begin", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            initialise(config, Secret(b"never shown to anybody"))
    with pytest.raises(NotInitialised):
        connect(config)

    assert initialise(config, PASSWORD) is True
    service = connect(config)
    service.access.log_in(ADMINISTRATOR, PASSWORD, "192.0.2.1")
    service.close()


def lose_the_key(config: Config) -> None:
    (config.data_dir / "master.key").unlink()


def change_the_key(config: Config) -> None:
    lose_the_key(config)
    write_key_file(config.data_dir / "master.key", (new_master_key(),))


def garble_the_key(config: Config) -> None:
    (config.data_dir / "master.key").write_text("nonsense")


def lose_the_database(config: Config) -> None:
    for path in config.data_dir.glob("bulkcert.sqlite3*"):
        path.unlink()


def age_the_database(config: Config) -> None:
    store = Store(config.database_url)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    store.close()


@pytest.mark.parametrize(
    ("harm", "refusal"),
    [
        (lose_the_key, MasterKeyMissing),
        (change_the_key, WrongMasterKey),
        (garble_the_key, WrongMasterKey),
        (lose_the_database, DatabaseMissing),
        (age_the_database, SchemaOutdated),
    ],
)
@pytest.mark.parametrize("start", [connect, make_work, check_start])
def test_a_service_that_does_not_fit_together_does_not_start_and_writes_nothing(
    config: Config,
    harm: Callable[[Config], None],
    refusal: type[Exception],
    start: Callable[[Config], object],
) -> None:
    initialise(config, PASSWORD)
    harm(config)
    before = contents(config.data_dir)

    with pytest.raises(refusal):
        start(config)
    after = contents(config.data_dir)
    assert {name: content for name, content in after.items() if not name.endswith(("-shm", "-wal"))} == {
        name: content for name, content in before.items() if not name.endswith(("-shm", "-wal"))
    }


def test_init_does_not_make_a_new_key_for_an_old_database(config: Config) -> None:
    initialise(config, PASSWORD)
    lose_the_key(config)

    with pytest.raises(MasterKeyMissing):
        initialise(config, PASSWORD)
    assert not (config.data_dir / "master.key").exists()
