"""The webhook over HTTP, and the commands that set the MDM server."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from bulkcert.api.app import create_app
from bulkcert.cli import main
from bulkcert.config import Config
from bulkcert.values.secret import Secret
from bulkcert.wiring.initialisation import initialise
from bulkcert.wiring.service import connect
from tests.deployments.mdm.nanomdm.webhooks import a_moment, sign

PATH = "/mdm/nanomdm/webhook"
KEYS = "the api key\nthe webhook key\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("BULKCERT_DATA_DIR", str(tmp_path / "data"))
    config = Config.from_environment({"BULKCERT_DATA_DIR": str(tmp_path / "data")})
    initialise(config, Secret(b"correct horse battery staple"))
    return config


@pytest.fixture
def client(config: Config) -> Iterator[FlaskClient]:
    run("mdm", "set", "--url", "https://mdm.example.com", stdin=KEYS)
    service = connect(config)
    yield create_app(service).test_client()
    service.close()


def run(*arguments: str, stdin: str = "", status: int = 0) -> str:
    result = CliRunner().invoke(main, list(arguments), input=stdin)
    assert result.exit_code == status, result.output
    return result.output


def an_event(event_id: str = "e-1") -> bytes:
    return b'{"topic": "mdm.Other", "event_id": "%s", "created_at": "%s"}' % (
        event_id.encode(),
        a_moment().encode(),
    )


def post(client: FlaskClient, body: bytes, signature: str | None) -> tuple[int, str | None]:
    headers = {} if signature is None else {"X-Hmac-Signature": signature}
    answer = client.post(PATH, data=body, headers=headers, content_type="application/json; charset=utf-8")
    return answer.status_code, answer.json["code"] if answer.is_json else None


def test_a_webhook_is_taken_once(client: FlaskClient) -> None:
    body = an_event()
    assert post(client, body, sign(body, "the webhook key")) == (200, None)
    assert post(client, body, sign(body, "the webhook key")) == (409, "repeated_event")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "key", "expected"),
    [
        (an_event(), "another key", (401, "wrong_signature")),
        (an_event(), None, (401, "wrong_signature")),
        (b"garbage", "the webhook key", (400, "malformed_request")),
        (an_event().replace(b'"20', b'"19'), "the webhook key", (400, "stale_event")),
        (b"x" * (1024 * 1024 + 2), "the webhook key", (413, "bundle_too_large")),
    ],
    ids=["another key", "no key", "garbage", "stale", "too large"],
)
def test_other_webhooks_are_refused(
    client: FlaskClient, body: bytes, key: str | None, expected: tuple[int, str]
) -> None:
    assert post(client, body, key and sign(body, key)) == expected


def test_a_body_of_a_mebibyte_is_read(client: FlaskClient) -> None:
    body = an_event()
    body += b" " * (1024 * 1024 - len(body))
    assert post(client, body, sign(body, "the webhook key")) == (200, None)


def test_without_an_mdm_server_there_is_nothing_at_its_path(config: Config) -> None:
    service = connect(config)
    client = create_app(service).test_client()
    assert post(client, an_event(), "x") == (404, "not_found")
    service.close()


@pytest.mark.slow
def test_keys_are_read_from_standard_input_and_kept_sealed(config: Config) -> None:
    shown = run("mdm", "set", "--url", "https://mdm.example.com", stdin=KEYS)
    shown += run("mdm", "show")
    assert "https://mdm.example.com" in shown
    assert "key" not in shown.lower().replace("restart", "")
    files = [path.read_bytes() for path in config.data_dir.rglob("*") if path.is_file()]
    assert all(b"the api key" not in each and b"the webhook key" not in each for each in files)
    with closing(sqlite3.connect(config.data_dir / "bulkcert.sqlite3", isolation_level=None)) as database:
        [facts] = database.execute("SELECT facts FROM events WHERE number = 4030").fetchall()
    assert facts == ('{"url": "https://mdm.example.com"}',)
    service = connect(config)
    server = service.mdm.servers.find()
    assert server is not None
    assert service.mdm.servers.api_key(server) == Secret(b"the api key")
    assert service.mdm.servers.webhook_key(server) == Secret(b"the webhook key")
    service.close()


def test_a_server_that_is_set_again_is_replaced(config: Config) -> None:
    run("mdm", "set", "--url", "https://one.example.com", stdin=KEYS)
    run("mdm", "set", "--url", "https://two.example.com", stdin=KEYS)
    assert run("mdm", "show").strip() == "https://two.example.com"


@pytest.mark.parametrize("stdin", ["", "one\n", "one\ntwo\nthree\n", "\n\n", "x" * 2000 + "\ntwo\n"])
def test_two_keys_are_wanted(config: Config, stdin: str) -> None:
    run("mdm", "set", "--url", "https://mdm.example.com", stdin=stdin, status=2)
    assert run("mdm", "show").strip() == "no MDM server is set"


def test_a_bad_address_is_refused_and_nothing_kept(config: Config) -> None:
    assert "https" in run("mdm", "set", "--url", "http://mdm.example.com", stdin=KEYS, status=1)
    assert run("mdm", "show").strip() == "no MDM server is set"


def test_a_deployer_without_a_server_does_not_start(config: Config) -> None:
    assert "bulkcert mdm set" in run("deployer", status=1)


@pytest.mark.slow
def test_contested_identities_are_listed_and_decided(config: Config) -> None:
    run("mdm", "set", "--url", "https://mdm.example.com", stdin=KEYS)
    assert run("mdm", "contested") == ""
    run("mdm", "confirm", "SERIAL_NUMBER", "A12BC3D4EFGH", "UDID-0001", status=1)
