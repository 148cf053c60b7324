"""Log in, use the token, give it back."""

import json

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import Client

from bulkcert.values.principals import SCOPES_OF, Role, Scope
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.conftest import PASSWORD, ApiCaller, NewService, a_client, a_token, an_app


@pytest.fixture(scope="module")
def service(new_service: NewService) -> Service:
    service = new_service()
    for role in (Role.OPERATOR, Role.DEPLOYER, Role.AUDITOR):
        service.accounts.create_user(role, role, Secret(PASSWORD.encode()), "administrator")
    return service


def log_in(client: Client, login: str = "administrator", password: str = PASSWORD) -> str:
    answer = client.post("/api/v1/sessions", json={"login": login, "password": password})
    assert answer.status_code == 200
    assert answer.json is not None
    return str(answer.json["access_token"])


def test_a_login_is_exchanged_for_a_token(client: Client) -> None:
    answer = client.post("/api/v1/sessions", json={"login": "administrator", "password": PASSWORD})

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 3600
    assert answer.json["scope"] == " ".join(sorted(Scope))
    assert answer.headers["Cache-Control"] == "no-store"
    assert ApiCaller(client, answer.json["access_token"]).get("/api/v1/limits").status_code == 200


def test_a_login_may_be_written_in_any_case_at_both_apis(client: Client) -> None:
    assert log_in(client, "ADMINISTRATOR")
    order = {"login": "Administrator", "password": PASSWORD}
    assert client.post("/xenmobile/api/v1/authentication/login", json=order).status_code == 200


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.DEPLOYER, Role.AUDITOR])
def test_a_token_carries_the_scopes_of_its_role(client: Client, role: Role) -> None:
    answer = client.post("/api/v1/sessions", json={"login": role, "password": PASSWORD})

    assert answer.json is not None
    assert answer.json["scope"] == " ".join(sorted(SCOPES_OF[role]))
    deleting = ApiCaller(client, answer.json["access_token"]).post("/api/v1/deletions")
    assert deleting.status_code == (415 if Scope.CERTIFICATES_DELETE in SCOPES_OF[role] else 403)


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("administrator", "wrong"),
        ("administrator", PASSWORD + " "),
        ("administrator ", PASSWORD),
        ("nobody", PASSWORD),
        ("administrator", "p" * 5000),
    ],
)
def test_a_wrong_login_says_nothing_of_which_part_was_wrong(
    client: Client, login: str, password: str
) -> None:
    answer = client.post(
        "/api/v1/sessions",
        json={"login": login, "password": password},
        environ_overrides={"REMOTE_ADDR": login + password[:20]},
    )

    assert answer.status_code == 401
    assert answer.json is not None
    assert answer.json["code"] == "wrong_credentials"
    assert answer.json["detail"] == "Login and password (or client id and secret) do not belong together."
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="bulkcert"'


def test_a_source_that_guesses_is_slowed_down_and_others_are_not(new_service: NewService) -> None:
    client = a_client(an_app(new_service()))
    guess = {"login": "administrator", "password": "guess"}
    statuses = [
        client.post("/api/v1/sessions", json=guess, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
        for _ in range(7)
    ]

    assert statuses[0].status_code == 401
    assert statuses[-1].status_code == 429
    assert statuses[-1].json is not None
    assert statuses[-1].json["code"] == "too_many_requests"
    assert int(statuses[-1].headers["Retry-After"]) >= 1
    assert log_in(client)


def test_neither_log_nor_answer_holds_the_password(client: Client) -> None:
    canary = "hunter2-canary"
    bodies = [
        json.dumps({"login": "administrator", "password": canary}),
        json.dumps({"login": "administrator", "password": [canary]}),
        json.dumps({"login": "administrator", canary: canary}),
        f'{{"login": "administrator", "password": "{canary}"',
    ]
    with capture_logs() as log:
        answers = [
            client.post("/api/v1/sessions", data=body, content_type="application/json") for body in bodies
        ]

    assert canary not in json.dumps(log)
    for answer in (answers[0], answers[1], answers[3]):
        assert canary not in answer.text


def test_a_token_revokes_itself(app: Flask, client: Client, service: Service) -> None:
    caller = ApiCaller(client, a_token(app, service))
    answer = caller.post("/api/v1/token/revoke", data={"token": caller.token})

    assert (answer.status_code, answer.data) == (200, b"")
    assert caller.get("/api/v1/limits").status_code == 401


def test_a_token_revokes_another_of_the_same_user(app: Flask, client: Client, service: Service) -> None:
    caller, other = (ApiCaller(client, a_token(app, service)) for _ in range(2))
    form = {"token": other.token, "token_type_hint": "access_token"}
    answer = caller.post("/api/v1/token/revoke", data=form)

    assert answer.status_code == 200
    assert other.get("/api/v1/limits").status_code == 401
    assert caller.get("/api/v1/limits").status_code == 200


def test_the_token_of_somebody_else_stays(app: Flask, client: Client, service: Service) -> None:
    caller = ApiCaller(client, a_token(app, service))
    auditor = ApiCaller(client, log_in(client, "auditor"))
    answer = auditor.post("/api/v1/token/revoke", data={"token": caller.token})

    assert answer.status_code == 200
    assert caller.get("/api/v1/limits").status_code == 200


@pytest.mark.parametrize("token", ["unknown", "a.b.c", "é", "x" * 4000, "[" * 3000])
def test_revoking_what_is_no_token_answers_like_revoking_one(
    app: Flask, client: Client, service: Service, token: str
) -> None:
    caller = ApiCaller(client, a_token(app, service))

    assert caller.post("/api/v1/token/revoke", data={"token": token}).status_code == 200


@pytest.mark.parametrize(
    ("form", "content_type", "status"),
    [
        ({}, None, 415),
        ("", "application/x-www-form-urlencoded", 400),
        ("token=", "application/x-www-form-urlencoded", 400),
        ("token=a&token=b", "application/x-www-form-urlencoded", 400),
        ("token=a&surprise=b", "application/x-www-form-urlencoded", 400),
        ("token=%00", "application/x-www-form-urlencoded", 400),
        ("token=%ff", "application/x-www-form-urlencoded", 200),
        ('{"token": "a"}', "application/json", 415),
        ("token=" + "a" * 70_000, "application/x-www-form-urlencoded", 413),
    ],
)
def test_a_revocation_of_another_form_is_refused(
    app: Flask, client: Client, service: Service, form: str, content_type: str | None, status: int
) -> None:
    caller = ApiCaller(client, a_token(app, service))
    answer = caller.post("/api/v1/token/revoke", data=form, content_type=content_type)

    assert answer.status_code == status


def test_a_user_who_is_disabled_has_no_token_any_more(new_service: NewService) -> None:
    service = new_service()
    app = an_app(service)
    caller = ApiCaller(a_client(app), a_token(app, service))
    with service.store.writing() as tx:
        tx.principals.disable(1, service.now())

    assert caller.get("/api/v1/limits").status_code == 401
    answer = caller.client.post("/api/v1/sessions", json={"login": "administrator", "password": PASSWORD})
    assert answer.status_code == 401
