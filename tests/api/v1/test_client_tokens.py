"""Machines exchange id and secret for a token (RFC 6749 §4.4)."""

import base64
import json
import re
from typing import Any

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import Client, TestResponse

from bulkcert.values.events import EventType
from bulkcert.values.principals import IssuedClient, Scope
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, NewService, an_app

PATH = "/api/v1/token"
SCOPES = frozenset({Scope.IMPORTS_WRITE, Scope.IMPORTS_READ, Scope.CERTIFICATES_READ})


@pytest.fixture(scope="module")
def service(new_service: NewService) -> Service:
    return new_service()


@pytest.fixture(scope="module")
def app(service: Service) -> Flask:
    return an_app(service)


@pytest.fixture(scope="module")
def machine(service: Service) -> IssuedClient:
    return service.accounts.create_client("CA script", SCOPES, "administrator")


def secret_of(machine: IssuedClient) -> str:
    return machine.secret.reveal().decode()


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def ask(
    client: Client, headers: dict[str, str] | None = None, grant: str = "client_credentials", **form: str
) -> TestResponse:
    return client.post(PATH, data={"grant_type": grant, **form}, headers=headers)


def in_form(machine: IssuedClient) -> dict[str, str]:
    return in_form_of(machine.client.login, secret_of(machine))


def in_form_of(client_id: str, secret: str) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": secret}


def check_refused(answer: TestResponse, status: int, error: str, code: str) -> None:
    assert answer.json is not None
    assert answer.mimetype == "application/problem+json"
    assert (answer.status_code, answer.json["error"], answer.json["code"]) == (status, error, code)
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", answer.json["error_description"])
    assert answer.json["detail"] in answer.json["error_description"].replace("'", '"')
    assert answer.headers["Cache-Control"] == "no-store"
    if status == 401:
        assert answer.headers.getlist("WWW-Authenticate") == ['Basic realm="bulkcert"']


def test_id_and_secret_in_the_header_are_exchanged_for_a_token(client: Client, machine: IssuedClient) -> None:
    answer = ask(client, basic(machine.client.login, secret_of(machine)))

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 3600
    assert answer.json["scope"] == " ".join(sorted(SCOPES))
    assert answer.headers["Cache-Control"] == "no-store"
    caller = ApiCaller(client, answer.json["access_token"])
    assert caller.get("/api/v1/imports").status_code == 200
    assert caller.get("/api/v1/users").status_code == 403


def test_id_and_secret_in_the_form_do_as_well(client: Client, machine: IssuedClient) -> None:
    assert ask(client, **in_form(machine)).status_code == 200


def test_the_parts_of_the_header_are_percent_decoded(client: Client, machine: IssuedClient) -> None:
    encoded = ["".join(f"%{byte:02X}" for byte in part.encode()) for part in in_form(machine).values()]

    assert ask(client, basic(*encoded)).status_code == 200


@pytest.mark.parametrize("scheme", ["basic", "BASIC"])
def test_the_scheme_is_written_in_any_case(client: Client, machine: IssuedClient, scheme: str) -> None:
    header = basic(*in_form(machine).values())["Authorization"].replace("Basic", scheme)

    assert ask(client, {"Authorization": header}).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [
        ("imports:read", "imports:read"),
        ("imports:write imports:read", "imports:read imports:write"),
        ("imports:read imports:read", "imports:read"),
        ("", " ".join(sorted(SCOPES))),
    ],
)
def test_the_token_is_no_wider_than_asked(
    client: Client, machine: IssuedClient, wanted: str, granted: str
) -> None:
    answer = ask(client, scope=wanted, **in_form(machine))

    assert answer.json is not None
    assert answer.json["scope"] == granted


@pytest.mark.parametrize("wanted", ["admin", "imports:read admin", "keys:release", "x", "imports:Read", "*"])
def test_a_scope_that_the_client_was_not_given_is_refused(
    client: Client, machine: IssuedClient, wanted: str
) -> None:
    check_refused(ask(client, scope=wanted, **in_form(machine)), 400, "invalid_scope", "invalid_scope")


def test_an_unknown_parameter_is_ignored_and_an_empty_one_is_as_left_out(
    client: Client, machine: IssuedClient
) -> None:
    assert ask(client, audience="x", resource="y", **in_form(machine)).status_code == 200
    header = basic(*in_form(machine).values())
    assert ask(client, header, client_id="", client_secret="", scope="").status_code == 200
    assert ask(client, header, client_id=machine.client.login).status_code == 200


WRONG: dict[str, Any] = {
    "nothing": ({}, {}),
    "an id alone": ({}, {"client_id": "client-1"}),
    "a secret alone": ({}, {"client_secret": "x"}),
    "an unknown id": ({}, {"client_id": "client-0000000000000000", "client_secret": "SECRET"}),
    "a wrong secret": ({}, {"client_id": "ID", "client_secret": "bcs_wrong"}),
    "a secret cut short": ({}, {"client_id": "ID", "client_secret": "SECRET-1"}),
    "an id cut short": ({}, {"client_id": "ID-1", "client_secret": "SECRET"}),
    "a user": ({}, {"client_id": "administrator", "client_secret": "correct horse battery"}),
    "a bearer token": ({"Authorization": "Bearer x"}, {}),
    "an empty header": ({"Authorization": ""}, {}),
    "a header of one word": ({"Authorization": "Basic"}, {}),
    "no base64": ({"Authorization": "Basic !!!!"}, {}),
    "base64 of no text": ({"Authorization": "Basic /////w=="}, {}),
    "percent of no text": (basic("%ff", "x"), {}),
    "no colon": ({"Authorization": "Basic YWJj"}, {}),
    "no id": (basic("", "x"), {}),
    "a NUL": (basic("%00", "x"), {}),
    "a header too long": (basic("x", "y" * 2000), {}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_client_is_refused_in_the_words_of_oauth(
    client: Client, machine: IssuedClient, wrong: str
) -> None:
    headers, form = WRONG[wrong]
    known = {
        "ID": machine.client.login,
        "ID-1": machine.client.login[:-1],
        "SECRET": secret_of(machine),
        "SECRET-1": secret_of(machine)[:-1],
    }
    form = {name: known.get(value, value) for name, value in form.items()}

    check_refused(ask(client, headers, **form), 401, "invalid_client", "wrong_credentials")


def test_the_answer_does_not_tell_an_unknown_client_from_a_wrong_secret_or_a_disabled_one(
    client: Client, service: Service, machine: IssuedClient
) -> None:
    disabled = service.accounts.create_client("old", SCOPES, "administrator")
    service.accounts.disable_client(disabled.client.login, "administrator")
    answers = [
        ask(client, client_id="client-0000000000000000", client_secret="x").json,
        ask(client, client_id=machine.client.login, client_secret="x").json,
        ask(client, **in_form(disabled)).json,
    ]

    assert answers[0] is not None
    assert [(answer or {}) | {"instance": ""} for answer in answers] == [answers[0] | {"instance": ""}] * 3


def test_secrets_in_two_places_are_one_too_many(client: Client, machine: IssuedClient) -> None:
    header = basic(*in_form(machine).values())

    check_refused(ask(client, header, **in_form(machine)), 400, "invalid_request", "malformed_request")
    check_refused(ask(client, header, client_id="other"), 400, "invalid_request", "malformed_request")


@pytest.mark.parametrize(
    "grant", ["password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS", "x"]
)
def test_another_grant_is_not_supported(client: Client, machine: IssuedClient, grant: str) -> None:
    check_refused(
        ask(client, None, grant, **in_form(machine)), 400, "unsupported_grant_type", "not_supported"
    )


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error"),
    [
        ("", "application/x-www-form-urlencoded", 400, "invalid_request"),
        ("grant_type=", "application/x-www-form-urlencoded", 400, "invalid_request"),
        ("grant_type=client_credentials&grant_type=x", "application/x-www-form-urlencoded", 400, "invalid_request"),
        ("grant_type=client_credentials&client_id=%00", "application/x-www-form-urlencoded", 400, "invalid_request"),
        ('{"grant_type": "client_credentials"}', "application/json", 415, "invalid_request"),
        ("", None, 415, "invalid_request"),
    ],
)  # fmt: skip
def test_a_request_of_another_form_is_refused(
    client: Client, body: str, content_type: str | None, status: int, error: str
) -> None:
    answer = client.post(PATH, data=body, content_type=content_type)

    assert answer.json is not None
    assert (answer.status_code, answer.json["error"]) == (status, error)
    assert answer.json["remedy"] in answer.json["error_description"]


@pytest.mark.parametrize(
    ("path", "form"), [(PATH, {"grant_type": "client_credentials"}), (f"{PATH}/revoke", {"token": "x"})]
)
def test_whatever_is_refused_is_described_to_oauth_clients(
    client: Client, path: str, form: dict[str, str]
) -> None:
    answers = [
        client.get(path),
        client.post(path, data=form, headers={"Accept": "text/html"}),
        client.post(path, data="x" * 100_000, content_type="application/x-www-form-urlencoded"),
        client.post(path, data=form),
        client.post(path, data=form, headers={"Authorization": "Token x"}),
        *[
            client.post(
                path, data=form | in_form_of("client-1", "x"), environ_base={"REMOTE_ADDR": "192.0.2.78"}
            )
            for _ in range(7)
        ],
    ]

    statuses = {answer.status_code for answer in answers}
    assert statuses == {405, 406, 413, 401, 429}
    for answer in answers:
        assert answer.json is not None
        assert answer.json["error"]
        assert answer.json["error_description"]
        assert answer.text.endswith("\n")
    assert answers[-1].headers["Retry-After"]


def test_parameters_are_not_read_from_the_query(client: Client, machine: IssuedClient) -> None:
    answer = client.post(PATH, query_string=in_form(machine), data={"grant_type": "client_credentials"})

    check_refused(answer, 400, "invalid_request", "malformed_request")


def test_a_token_of_a_client_that_is_disabled_ends(client: Client, service: Service) -> None:
    machine = service.accounts.create_client("old", SCOPES, "administrator")
    answer = ask(client, **in_form(machine))
    assert answer.json is not None
    caller = ApiCaller(client, answer.json["access_token"])
    service.accounts.disable_client(machine.client.login, "administrator")

    assert caller.get("/api/v1/imports").status_code == 401


def test_a_client_revokes_its_own_token(client: Client, machine: IssuedClient) -> None:
    answer = ask(client, **in_form(machine))
    assert answer.json is not None
    caller = ApiCaller(client, answer.json["access_token"])

    assert caller.post("/api/v1/token/revoke", data={"token": caller.token}).status_code == 200
    assert caller.get("/api/v1/imports").status_code == 401


# --- revoking as a client (RFC 7009 §2.1) ---

REVOKE = "/api/v1/token/revoke"


def a_live_token(client: Client, machine: IssuedClient) -> ApiCaller:
    answer = ask(client, **in_form(machine))
    assert answer.json is not None
    return ApiCaller(client, answer.json["access_token"])


@pytest.mark.parametrize("place", ["header", "form"])
def test_a_client_revokes_its_token_by_id_and_secret(
    client: Client, service: Service, machine: IssuedClient, place: str
) -> None:
    owner = a_live_token(client, machine)
    headers = basic(*in_form(machine).values()) if place == "header" else {}
    form = in_form(machine) if place == "form" else {}
    answer = client.post(
        REVOKE, data={"token": owner.token, "token_type_hint": "access_token"} | form, headers=headers
    )

    assert (answer.status_code, answer.data) == (200, b"")
    assert owner.get("/api/v1/imports").status_code == 401
    with service.store.reading() as tx:
        event = tx.events.list()[-1]
    assert (event.type, event.actor) == (EventType.TOKEN_REVOKED, machine.client.login)


def test_a_client_does_not_revoke_the_token_of_another(
    client: Client, service: Service, machine: IssuedClient
) -> None:
    other = service.accounts.create_client("other", SCOPES, "administrator")
    owner = a_live_token(client, machine)
    for token in (owner.token, "no token", owner.token[:-5]):
        assert client.post(REVOKE, data={"token": token} | in_form(other)).status_code == 200

    assert owner.get("/api/v1/imports").status_code == 200


def test_revoking_needs_the_right_secret_of_a_client_that_is_not_disabled(
    client: Client, service: Service, machine: IssuedClient
) -> None:
    owner = a_live_token(client, machine)
    disabled = service.accounts.create_client("old", SCOPES, "administrator")
    service.accounts.disable_client(disabled.client.login, "administrator")
    token = {"token": owner.token}
    source = {"REMOTE_ADDR": "192.0.2.77"}
    wrong: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({}, {"client_id": machine.client.login}),
        ({}, in_form_of(machine.client.login, "wrong")),
        ({}, in_form(disabled)),
        (basic(machine.client.login, "wrong"), {}),
    ]
    for headers, form in wrong:
        answer = client.post(REVOKE, data=token | form, headers=headers, environ_base=source)
        check_refused(answer, 401, "invalid_client", "wrong_credentials")

    both = client.post(
        REVOKE, data=token | in_form(machine), headers={"Authorization": f"Bearer {owner.token}"}
    )
    check_refused(both, 400, "invalid_request", "malformed_request")
    bad = client.post(REVOKE, data=token, headers={"Authorization": "Bearer x"})
    assert bad.json is not None
    assert (bad.status_code, bad.json["error"]) == (401, "invalid_token")
    assert bad.headers.getlist("WWW-Authenticate") == ['Bearer realm="bulkcert", error="invalid_token"']
    assert owner.get("/api/v1/imports").status_code == 200


def test_neither_log_nor_answer_nor_event_holds_a_secret(
    client: Client, service: Service, machine: IssuedClient
) -> None:
    canary = "hunter2-canary"
    with capture_logs() as log:
        answers = [
            ask(client, basic(machine.client.login, canary)),
            ask(client, client_id=canary, client_secret=canary),
            ask(client, scope=canary, **in_form(machine)),
            ask(client, None, canary),
        ]

    with service.store.reading() as tx:
        events = tx.events.list()
    assert events[-1].type is EventType.LOGIN_REFUSED
    told = json.dumps(log) + repr(events) + "".join(answer.text for answer in answers)
    assert canary not in told
    assert secret_of(machine) not in told
