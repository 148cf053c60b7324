"""`bulkcert check` says what is wrong, and exits with 1 where something is."""

import contextlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from bulkcert.cli.check import check
from bulkcert.cli.db import upgrade
from bulkcert.cli.tls import make_certificate
from bulkcert.config import Config
from bulkcert.formats.pkcs12 import kdf
from bulkcert.integrity.demand import CHECK, Demand, seal_check
from bulkcert.opening.opener import Layers, Opener
from bulkcert.values.secret import Secret
from bulkcert.wiring.initialisation import initialise
from bulkcert.wiring.installation import open_installation


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BULKCERT_DATA_DIR", str(tmp_path / "data"))
    initialise(
        Config.from_environment({"BULKCERT_DATA_DIR": str(tmp_path / "data")}),
        Secret(b"correct horse battery"),
    )
    make_certificate(tmp_path / "data" / "tls", [])
    return tmp_path / "data"


@pytest.mark.slow
def test_a_service_that_fits_together_passes(data_dir: Path) -> None:
    done = CliRunner().invoke(check)

    assert (done.exit_code, done.output.count("ok ")) == (0, 5)
    assert "confinement of opened files: " in done.output
    assert kdf.engine() in done.output or "Python's own loop" in done.output


@pytest.mark.slow
def test_p32_rows_that_were_altered_by_hand_are_named(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "bulkcert.sqlite3", isolation_level=None)) as connection:
        connection.execute("UPDATE signing_keys SET public_pem = 'another'")
    done = CliRunner().invoke(check)

    assert done.exit_code == 1
    assert (
        "FAIL rows are as the service wrote them: Not as the service wrote them: signing key " in done.output
    )


@pytest.mark.slow
def test_p32_users_that_were_altered_by_hand_are_named(data_dir: Path) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "bulkcert.sqlite3")) as connection, connection:
        connection.execute("UPDATE principals SET password_hash = 'another'")
    done = CliRunner().invoke(check)

    assert done.exit_code == 1
    assert "Not as the service wrote them: user administrator (id 1)." in done.output


@pytest.mark.slow
def test_an_upgrade_that_is_not_finished_is_told(data_dir: Path) -> None:
    assert "ok   rows are as the service wrote them: all of them" in CliRunner().invoke(check).output
    config = Config.from_environment({"BULKCERT_DATA_DIR": str(data_dir)})
    store, vault = open_installation(config)
    with store.writing() as tx:
        tx.keys.replace_check(CHECK, seal_check(vault, Demand.KEYS))
    store.close()
    assert "keys only, until `bulkcert db upgrade --finish` is run" in CliRunner().invoke(check).output
    assert "rows are signed; sealed anew: 0" in CliRunner().invoke(upgrade, ["--finish"]).output

    assert "rows are as the service wrote them: all of them" in CliRunner().invoke(check).output


@pytest.mark.slow
@pytest.mark.parametrize("lost", [
    "master.key", "bulkcert.sqlite3", "spool", "tls/certificate.pem", "tls/key.pem",
])  # fmt: skip
def test_what_is_missing_is_named_with_its_path(data_dir: Path, lost: str) -> None:
    path = data_dir / lost
    path.rmdir() if path.is_dir() else path.unlink()
    done = CliRunner().invoke(check)

    assert done.exit_code == 1
    assert "FAIL" in done.output
    assert str(path) in done.output
    assert f"BULKCERT_DATA_DIR is set to {data_dir}." in done.output


@pytest.mark.slow
@pytest.mark.parametrize(("option", "needless"), [("--no-tls", ["tls"]), ("--worker", ["tls", "spool"])])
def test_proxies_and_workers_need_less(data_dir: Path, option: str, needless: list[str]) -> None:
    for name in needless:
        shutil.rmtree(data_dir / name)

    assert CliRunner().invoke(check, [option]).exit_code == 0


def test_where_there_is_no_service_nothing_says_that_init_makes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKCERT_DATA_DIR", str(tmp_path / "elsewhere"))
    done = CliRunner().invoke(check)

    assert (done.exit_code, done.output.count("FAIL")) == (1, 1)
    assert "makes a new, empty one" in done.output


@pytest.mark.slow
def test_a_slow_key_derivation_is_told(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kdf, "engine", lambda: "python")

    assert "Python's own loop" in CliRunner().invoke(check).output


def test_confinement_that_is_demanded_and_not_there_fails(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Opener, "layers", lambda _opener: Layers())
    without = CliRunner().invoke(check)
    monkeypatch.setenv("BULKCERT_REQUIRE_CONFINEMENT", "true")
    demanded = CliRunner().invoke(check)

    assert (without.exit_code, "confinement of opened files: none" in without.output) == (0, True)
    assert (demanded.exit_code, "FAIL confinement of opened files" in demanded.output) == (1, True)
