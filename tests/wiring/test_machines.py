"""Several machines on one database: `init` on each of them, and one master key."""

import shutil
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from bulkcert.cli import main
from bulkcert.config import Config
from bulkcert.errors import MasterKeyMissing, Refusal, Unavailable, WrongMasterKey
from bulkcert.store.store import Store
from bulkcert.values.principals import PrincipalKind
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import new_master_key, write_key_file
from bulkcert.wiring.checks import check_start
from bulkcert.wiring.initialisation import ADMINISTRATOR, initialise
from bulkcert.wiring.installation import upgrade_database
from bulkcert.wiring.service import connect
from tests.postgres import PASSWORD as DATABASE_PASSWORD
from tests.postgres import Cluster

PASSWORD = Secret(b"correct horse battery")


def machine(tmp_path: Path, name: str, database_url: str) -> Config:
    settings = {"BULKCERT_DATA_DIR": str(tmp_path / name), "BULKCERT_DATABASE_URL": database_url}
    return Config.from_environment(settings)


def administrators(database_url: str) -> list[str]:
    store = Store(database_url)
    with store.reading() as tx:
        logins = [user.login for user in tx.principals.page(PrincipalKind.USER, 10, None).items]
    store.close()
    return logins


def test_init_makes_a_service_once(tmp_path: Path, database_url: str) -> None:
    config = machine(tmp_path, "first", database_url)

    assert initialise(config, PASSWORD) is True
    assert initialise(config, Secret(b"another password")) is False
    check_start(config)
    before, after = upgrade_database(config)
    assert before == after
    service = connect(config)
    assert service.access.log_in(ADMINISTRATOR, PASSWORD, "192.0.2.1").login == ADMINISTRATOR
    service.close()


def test_another_machine_needs_the_first_ones_key(tmp_path: Path, database_url: str) -> None:
    first, second = (machine(tmp_path, name, database_url) for name in ("first", "second"))
    initialise(first, PASSWORD)

    with pytest.raises(MasterKeyMissing):
        initialise(second, PASSWORD)
    assert not (second.data_dir / "master.key").exists()

    write_key_file(second.data_dir / "master.key", (new_master_key(),))
    with pytest.raises(WrongMasterKey):
        initialise(second, PASSWORD)

    shutil.copy(first.data_dir / "master.key", second.data_dir / "master.key")
    assert initialise(second, PASSWORD) is False
    connect(second).close()
    assert administrators(database_url) == [ADMINISTRATOR]


@pytest.mark.parametrize("names", [("first", "second", "third"), ("first", "first", "first")])
def test_of_several_inits_at_once_one_makes_everything(
    tmp_path: Path, database_url: str, names: tuple[str, ...]
) -> None:
    ends: list[object] = []
    ready = threading.Barrier(len(names))

    def init(config: Config) -> None:
        ready.wait(10)
        try:
            ends.append(initialise(config, PASSWORD))
        except Refusal as refusal:
            ends.append(refusal.code)

    configs = [machine(tmp_path, name, database_url) for name in names]
    threads = [threading.Thread(target=init, args=(config,)) for config in configs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    rest = False if len(set(names)) == 1 else "master_key_missing"
    assert sorted(ends, key=lambda end: end is not True) == [True, rest, rest]
    assert administrators(database_url) == [ADMINISTRATOR]
    assert len(list(tmp_path.glob("*/master.key"))) == 1


def test_a_database_that_is_away_leaves_no_key_behind(tmp_path: Path, postgres: Cluster) -> None:
    config = machine(tmp_path, "first", postgres.url("nowhere"))

    with pytest.raises(Unavailable):
        initialise(config, PASSWORD)
    assert not (config.data_dir / "master.key").exists()


@pytest.mark.parametrize("command", [["check"], ["init"], ["db", "upgrade"], ["user", "list"]])
@pytest.mark.parametrize("database", ["nowhere", "postgres"])
def test_no_command_shows_the_databases_password(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch, command: list[str], database: str
) -> None:
    url = postgres.url(database)
    if database == "postgres":  # a server that answers, and another password
        url = url.replace("word@", "wqrd@")
    config = machine(tmp_path, "first", url)
    config.data_dir.mkdir()
    if command != ["init"]:
        write_key_file(config.data_dir / "master.key", (new_master_key(),))
    monkeypatch.setenv("BULKCERT_DATA_DIR", str(config.data_dir))
    monkeypatch.setenv("BULKCERT_DATABASE_URL", url)

    result = CliRunner().invoke(main, command)

    assert result.exit_code == 1
    assert "database" in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for word in (DATABASE_PASSWORD, "odd", "wqrd", url.split(":")[2].split("@")[0]):
        assert word not in result.output
