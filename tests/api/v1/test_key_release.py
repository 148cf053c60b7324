"""Release over HTTP: what comes out opens, who may, and what is refused."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import Client

from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.events import EventType
from bulkcert.values.principals import SCOPES_OF, Role, Scope
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, Worker, a_token
from tests.api.v1.test_certificates import listed
from tests.api.v1.test_deletions import delete
from tests.api.v1.test_imports import FIRST, imported
from tests.builders import a_bundle, a_pkcs12, an_ec_key

KEY = an_ec_key()
PLAIN = KEY.private_bytes(
    serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
GIVEN = "correct horse battery"


@pytest.fixture
def path(caller: ApiCaller, worker: Worker) -> str:
    imported(caller, worker, a_bundle([FIRST], files={FIRST: a_pkcs12(FIRST, key=KEY)}))
    [certificate] = listed(caller)
    return f"/api/v1/certificates/{certificate['id']}/release"


def released(caller: ApiCaller, path: str, **order: Any) -> dict[str, Any]:
    answer = caller.post(path, json={"format": "pkcs12"} | order)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json is not None
    return dict(answer.json)


@pytest.mark.parametrize("encryption", [{}, {"encryption": "aes256"}, {"encryption": "apple_legacy"}])
def test_a_pkcs12_holds_the_key_that_was_imported(
    caller: ApiCaller, path: str, encryption: dict[str, str]
) -> None:
    document = released(caller, path, **encryption)
    opened = open_pkcs12(base64.b64decode(document["content"]), Secret(document["password"].encode()))

    assert document["format"] == "pkcs12"
    assert len(document["password"]) >= 24
    assert opened.private_key.reveal() == PLAIN
    assert opened.leaf.facts.fingerprint_sha256 == document["fingerprint_sha256"]
    assert opened.chain_is_complete


def test_a_pem_holds_it_encrypted(caller: ApiCaller, path: str) -> None:
    document = released(caller, path, format="pem", password=GIVEN)
    content = base64.b64decode(document["content"])

    assert document["password"] == GIVEN
    assert content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert content.count(b"BEGIN CERTIFICATE") == 2
    key = serialization.load_pem_private_key(content, GIVEN.encode())
    assert key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) == PLAIN  # fmt: skip


def test_each_release_has_a_password_of_its_own(caller: ApiCaller, path: str) -> None:
    assert len({released(caller, path)["password"] for _ in range(3)}) == 3


def test_a_superseded_certificate_is_released_and_a_deleted_one_is_not_there(
    caller: ApiCaller, worker: Worker, path: str
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    assert [each["state"] for each in listed(caller)] == ["superseded", "current"]
    assert released(caller, path)

    delete(caller, FIRST)
    answer = caller.post(path, json={"format": "pkcs12"})
    unknown = caller.post("/api/v1/certificates/123456/release", json={"format": "pkcs12"})
    assert (answer.status_code, unknown.status_code) == (404, 404)
    assert (answer.json or {}) | {"instance": ""} == (unknown.json or {}) | {"instance": ""}


@pytest.mark.parametrize("certificate_id", ["0", "-1", "01", "x", "9" * 40, "%00", "%ff", "%D9%A1", "1%20"])
def test_an_id_that_is_none_answers_like_one_that_is_unknown(refused: ApiCaller, certificate_id: str) -> None:
    answer = refused.post(f"/api/v1/certificates/{certificate_id}/release", json={"format": "pem"})
    unknown = refused.post("/api/v1/certificates/123456/release", json={"format": "pem"})

    assert answer.status_code == 404
    assert (answer.json or {}) | {"instance": ""} == (unknown.json or {}) | {"instance": ""}


def test_a_certificate_of_a_chain_is_not_released(caller: ApiCaller, path: str) -> None:
    [certificate] = listed(caller)
    chain = f"/api/v1/certificates/{certificate['chain'][0]}/release"

    assert caller.post(chain, json={"format": "pem"}).status_code == 404


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({}, 400, "malformed_request"),
        *(({"format": bad}, 400, "malformed_request") for bad in ("", "p12", "PEM", None, 1, ["pem"])),
        *(({"format": "pkcs12", "encryption": bad}, 400, "malformed_request") for bad in ("", "rc2", "none", 1)),
        ({"format": "pem", "encryption": "aes256"}, 400, "malformed_request"),
        ({"format": "pem", "encryption": "apple_legacy"}, 400, "malformed_request"),
        ({"format": "pem", "surprise": 1}, 400, "malformed_request"),
        ({"format": "pem", "password": 1}, 400, "malformed_request"),
        ({"format": "pem", "password": "a password\x00 with a NUL"}, 400, "malformed_request"),
        ({"format": "pem", "password": "a password\n of two lines"}, 400, "malformed_request"),
        ({"format": "pem", "password": "x1y2z" * 26}, 400, "malformed_request"),
        ({"format": "pem", "password": ""}, 422, "weak_password"),
        ({"format": "pem", "password": "elevenchars"}, 422, "weak_password"),
        ({"format": "pem", "password": "aaaabbbbcccc"}, 422, "weak_password"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_followed_is_refused_and_not_recorded(
    caller: ApiCaller, service: Service, path: str, order: dict[str, Any], status: int, code: str
) -> None:
    answer = caller.post(path, json=order)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)
    with service.store.reading() as tx:
        assert EventType.KEY_RELEASED not in {event.type for event in tx.events.list()}


@pytest.mark.parametrize(
    "scopes",
    [
        {Scope.ADMIN},
        set(Scope) - {Scope.KEYS_RELEASE},
        SCOPES_OF[Role.OPERATOR],
        SCOPES_OF[Role.DEPLOYER],  # it gets what it has leased, and nothing else
        set(Scope) - {Scope.CERTIFICATES_READ},
    ],
)
def test_no_other_scope_implies_it(
    app: Flask, client: Client, service: Service, path: str, scopes: set[Scope]
) -> None:
    caller = ApiCaller(client, a_token(app, service, scopes))

    assert caller.post(path, json={"format": "pem"}).status_code == 403


def test_it_needs_no_other_scope(app: Flask, client: Client, service: Service, path: str) -> None:
    scopes = {Scope.KEYS_RELEASE, Scope.CERTIFICATES_READ}

    assert released(ApiCaller(client, a_token(app, service, scopes)), path)


def test_neither_log_nor_event_holds_password_or_key(caller: ApiCaller, service: Service, path: str) -> None:
    with capture_logs() as log:
        document = released(caller, path, format="pem", password=GIVEN)

    with service.store.reading() as tx:
        [event] = [each for each in tx.events.list() if each.type is EventType.KEY_RELEASED]
    told = json.dumps(log) + repr(event)
    assert event.actor == "administrator"
    assert GIVEN not in told
    assert document["content"][:40] not in told
