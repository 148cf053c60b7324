"""`bulkcert serve` refuses what it cannot serve, before anything is started."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bulkcert.api.app import create_from_environment
from bulkcert.cli import main
from bulkcert.cli import serve as serve_command
from bulkcert.cli.tls import make_certificate
from bulkcert.config import Config
from bulkcert.opening.opener import Layers, Opener
from bulkcert.values.secret import Secret
from bulkcert.wiring.initialisation import initialise
from tests.ports import take_port


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    config = Config.from_environment({"BULKCERT_DATA_DIR": str(tmp_path_factory.mktemp("serve") / "data")})
    initialise(config, Secret(b"correct horse battery"))
    make_certificate(config.data_dir / "tls", [])
    return config.data_dir


@pytest.fixture
def run(data_dir, monkeypatch):
    """Run `bulkcert serve` up to the moment when it would begin to serve."""
    module = sys.modules[serve_command.callback.__module__]
    monkeypatch.setattr(module, "run", lambda *_, **__: None)
    monkeypatch.setattr(module, "configure_logging", lambda _level: None)
    monkeypatch.setattr("bulkcert.cli.memory.protect", lambda: False)

    def run(*options: str, **environment: str) -> Result:
        mask = os.umask(0o022)
        try:
            return CliRunner(env={"BULKCERT_DATA_DIR": str(data_dir), **environment}).invoke(
                main, ["serve", *options]
            )
        finally:
            os.umask(mask)

    return run


@pytest.mark.parametrize(("options", "status"), [
    ([], 0),
    (["--host", "0.0.0.0"], 0),
    (["--no-tls"], 0),
    (["--no-tls", "--host", "localhost"], 0),
    (["--no-tls", "--host", "127.0.0.2"], 0),
    (["--no-tls", "--host", "0.0.0.0"], 2),
    (["--no-tls", "--host", "192.0.2.1"], 2),
    (["--no-tls", "--host", "localhost.example"], 2),
    (["--no-tls", "--behind-proxy", "--host", "0.0.0.0"], 0),
    (["--behind-proxy"], 2),
    (["--workers", "0"], 0),
    (["--workers", "-1"], 2),
    (["--host", "192.0.2.1"], 1),
])  # fmt: skip
def test_plain_http_leaves_the_machine_only_behind_a_proxy(run, options, status):
    done = run("--port", str(take_port()), *options)

    assert done.exit_code == status, done.output


def test_an_address_that_is_taken_is_refused(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--port", str(taken.getsockname()[1]))

    assert (done.exit_code, "cannot be listened on" in done.output) == (1, True)


def test_a_data_directory_that_init_did_not_make_is_refused(run, tmp_path):
    done = run(BULKCERT_DATA_DIR=str(tmp_path / "nothing"))

    assert (done.exit_code, "BULKCERT_DATA_DIR is set to" in done.output) == (1, True)


@pytest.fixture
def files(tmp_path, data_dir) -> Path:
    """TLS files that do not do."""
    key = data_dir / "tls" / "key.pem"
    (tmp_path / "not-pem").write_text("no PEM")
    make_certificate(tmp_path / "other", [])
    subprocess.run(
        ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", str(key), "-out", str(tmp_path / "encrypted")],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "certificate").write_bytes((data_dir / "tls" / "certificate.pem").read_bytes())
    (tmp_path / "key").write_bytes(key.read_bytes())
    return tmp_path


@pytest.mark.parametrize(("certificate", "key", "status", "named"), [
    ("certificate", "key", 0, ""),
    ("certificate", "missing", 1, "BULKCERT_TLS_KEY_FILE"),
    ("missing", "key", 1, "BULKCERT_TLS_CERTIFICATE_FILE"),
    ("not-pem", "key", 1, "BULKCERT_TLS_CERTIFICATE_FILE"),
    ("certificate", "not-pem", 1, "BULKCERT_TLS_CERTIFICATE_FILE"),
    ("certificate", "other/key.pem", 1, "BULKCERT_TLS_CERTIFICATE_FILE"),
    ("certificate", "encrypted", 1, "BULKCERT_TLS_CERTIFICATE_FILE"),
])  # fmt: skip
def test_a_certificate_that_cannot_be_used_is_named(run, files, certificate, key, status, named):
    done = run(
        "--port", str(take_port()),
        BULKCERT_TLS_CERTIFICATE_FILE=str(files / certificate), BULKCERT_TLS_KEY_FILE=str(files / key),
    )  # fmt: skip

    assert done.exit_code == status, done.output
    assert named in done.output
    assert not named or str(files) in done.output  # the path that was looked at


def test_settings_that_are_wrong_are_told_one_to_a_line(run):
    done = run(BULKCERT_NO_SUCH_SETTING="x", BULKCERT_LOG_LEVEL="loud")

    assert done.exit_code == 1
    told = json.loads(done.output)  # nobody sits at a terminal: standard error is a log
    assert (told["event"], told["level"], told["code"]) == (
        "serve does not start",
        "critical",
        "bad_settings",
    )
    assert [line.split(":")[0] for line in told["errors"]] == [
        "BULKCERT_LOG_LEVEL",
        "BULKCERT_NO_SUCH_SETTING",
    ]


def test_at_a_terminal_settings_that_are_wrong_are_told_in_sentences(run, monkeypatch):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    done = run(BULKCERT_NO_SUCH_SETTING="x", BULKCERT_LOG_LEVEL="loud")

    assert [line.split(":")[0] for line in done.output.splitlines()[:3]] == [
        "bulkcert", "BULKCERT_LOG_LEVEL", "BULKCERT_NO_SUCH_SETTING",
    ]  # fmt: skip


@pytest.mark.parametrize(("behind_proxy", "expected"), [(True, "192.0.2.7"), (False, "127.0.0.1")])
def test_the_address_that_a_proxy_wrote_counts_only_behind_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, behind_proxy: bool, expected: str
) -> None:
    monkeypatch.setenv("BULKCERT_DATA_DIR", str(tmp_path / "data"))
    initialise(Config.from_environment(os.environ), Secret(b"correct horse battery"))
    app = create_from_environment(behind_proxy=behind_proxy)
    body = {"login": "administrator", "password": "correct horse battery"}
    answer = app.test_client().post(
        "/api/v1/sessions", json=body, headers={"X-Forwarded-For": "203.0.113.9, 192.0.2.7"}
    )
    service = app.extensions["bulkcert"]
    with service.store.reading() as tx:
        source = tx.events.list()[-1].facts["source"]
    service.close()

    assert answer.status_code == 200
    assert source == expected


@pytest.mark.parametrize(("demanded", "status"), [("false", 0), ("true", 1)])
def test_a_kernel_that_does_not_confine_is_warned_of_or_refused(run, monkeypatch, capsys, demanded, status):
    monkeypatch.setattr(Opener, "layers", lambda _opener: Layers())
    done = run("--port", str(take_port()), BULKCERT_REQUIRE_CONFINEMENT=demanded)

    assert done.exit_code == status, done.output
    assert "confine" in done.output + capsys.readouterr().out
