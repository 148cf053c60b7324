"""Users, roles, passwords and sessions over HTTP."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client

from bulkcert.values.principals import SCOPES_OF, Role, Scope
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.conftest import PASSWORD, ApiCaller, NewService, a_client, a_token, an_app

PATH = "/api/v1/users"
OLGA = {"login": "olga", "role": "operator", "password": "battery staple horse"}


def logged_in(client: Client, login: str, password: str) -> ApiCaller | None:
    answer = client.post("/api/v1/sessions", json={"login": login, "password": password})
    assert answer.status_code in {200, 401}
    return (
        ApiCaller(client, answer.json["access_token"]) if answer.status_code == 200 and answer.json else None
    )


@pytest.fixture
def olga(caller: ApiCaller, client: Client) -> ApiCaller:
    assert caller.post(PATH, json=OLGA).status_code == 201
    found = logged_in(client, "olga", OLGA["password"])
    assert found is not None
    return found


def test_a_user_is_made_with_a_password_that_is_not_shown_again(caller: ApiCaller, client: Client) -> None:
    answer = caller.post(PATH, json=OLGA)

    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["generated_password"] is None
    assert OLGA["password"] not in answer.text
    assert answer.json["scopes"] == sorted(SCOPES_OF[Role.OPERATOR])
    assert logged_in(client, "olga", OLGA["password"])


def test_a_password_that_is_not_given_is_generated_and_shown_once(caller: ApiCaller, client: Client) -> None:
    answer = caller.post(PATH, json={"login": "otto", "role": "auditor"})

    assert answer.json is not None
    assert len(answer.json["generated_password"]) >= 24
    assert logged_in(client, "otto", answer.json["generated_password"])
    assert answer.json["generated_password"] not in caller.get(PATH).text


def test_users_are_listed_without_secrets(caller: ApiCaller, olga: ApiCaller) -> None:
    page = caller.get(PATH).json

    assert page is not None
    assert [(each["login"], each["role"], each["disabled"]) for each in page["items"]] == [
        ("administrator", "owner", False),
        ("olga", "operator", False),
    ]
    assert set(page["items"][0]) == {"login", "role", "scopes", "disabled", "created_at"}


def test_a_login_is_taken_once(caller: ApiCaller, olga: ApiCaller) -> None:
    answer = caller.post(PATH, json=OLGA)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (409, "already_exists")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        *(({"login": login}, 400, "malformed_request") for login in (
            "", " ", " olga", "ol ga", "a/b", ".", "..", "cli:root", "system", "unknown", "olga\x00", "olgä",
            "x" * 101, "a\nb", 1, None)),
        *(({"role": role}, 400, "malformed_request") for role in ("", "admin", "Owner", None, 1, ["owner"])),
        ({"password": 1}, 400, "malformed_request"),
        ({"password": "x" * 1025}, 400, "malformed_request"),
        ({"password": ""}, 422, "weak_password"),
        ({"password": "short"}, 422, "weak_password"),
        ({"password": "elevenchars"}, 422, "weak_password"),
        ({"password": "aaaabbbbcccc"}, 422, "weak_password"),
        ({"password": "Qwerty123456"}, 422, "common_password"),
        ({"surprise": 1}, 400, "malformed_request"),
    ],
)  # fmt: skip
def test_a_user_of_another_form_is_refused(
    refused: ApiCaller, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = refused.post(PATH, json=OLGA | changes)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)
    if changes.get("password") and code == "weak_password":
        assert changes["password"] not in answer.text
    assert len((refused.get(PATH).json or {})["items"]) == 1


def test_a_disabled_user_is_out_at_once(caller: ApiCaller, client: Client, olga: ApiCaller) -> None:
    answer = caller.post(f"{PATH}/olga/disable")

    assert answer.json is not None
    assert answer.json["disabled"] is True
    assert olga.get("/api/v1/limits").status_code == 401
    assert logged_in(client, "olga", OLGA["password"]) is None


def test_another_role_ends_the_tokens_of_before(caller: ApiCaller, client: Client, olga: ApiCaller) -> None:
    answer = caller.post(f"{PATH}/olga/role", json={"role": "auditor"})

    assert answer.json is not None
    assert answer.json["role"] == "auditor"
    assert answer.json["scopes"] == sorted(SCOPES_OF[Role.AUDITOR])
    assert olga.get("/api/v1/limits").status_code == 401
    assert logged_in(client, "olga", OLGA["password"])


@pytest.mark.parametrize(("path", "body"), [("disable", None), ("role", {"role": "operator"})])
def test_the_last_owner_stays(refused: ApiCaller, path: str, body: dict[str, str] | None) -> None:
    answer = refused.post(f"{PATH}/administrator/{path}", json=body)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (409, "last_owner")
    assert refused.get("/api/v1/limits").status_code == 200


@pytest.mark.parametrize("body", [{}, {"password": "another battery horse"}])
def test_a_new_password_ends_the_tokens_and_the_password_of_before(
    caller: ApiCaller, client: Client, olga: ApiCaller, body: dict[str, str]
) -> None:
    answer = caller.post(f"{PATH}/olga/password", json=body)

    assert answer.json is not None
    assert (answer.json["generated_password"] is None) == bool(body)
    assert olga.get("/api/v1/limits").status_code == 401
    assert logged_in(client, "olga", OLGA["password"]) is None
    assert logged_in(client, "olga", body.get("password") or answer.json["generated_password"])


@pytest.mark.parametrize("verb", ["disable", "role", "password"])
@pytest.mark.parametrize("login", ["nobody", "%00", "%ff", "..%2f", "x" * 500, "%20"])
def test_an_unknown_user_is_not_found(refused: ApiCaller, login: str, verb: str) -> None:
    bodies: dict[str, Any] = {"disable": None, "role": {"role": "auditor"}, "password": {}}

    assert refused.post(f"{PATH}/{login}/{verb}", json=bodies[verb]).status_code == 404


def test_admin_alone_makes_nobody_who_may_do_more(app: Flask, client: Client, service: Service) -> None:
    admin = ApiCaller(client, a_token(app, service, {Scope.ADMIN, *SCOPES_OF[Role.AUDITOR]}))

    assert admin.post(PATH, json={"login": "anna", "role": "auditor"}).status_code == 201
    for path, body in [
        (PATH, {"login": "eve", "role": "deployer"}),
        (PATH, {"login": "eve", "role": "owner"}),
        (f"{PATH}/anna/role", {"role": "owner"}),
        (f"{PATH}/administrator/password", {}),
    ]:
        answer = admin.post(path, json=body)
        assert answer.json is not None
        assert (answer.status_code, answer.json["code"]) == (403, "insufficient_scope"), path
    assert admin.post(f"{PATH}/anna/password", json={}).status_code == 200


# --- one's own password ---------------------------------------------------------------------------


def change(caller: ApiCaller, current: str, new: str) -> int:
    return caller.post("/api/v1/password", json={"current": current, "new": new}).status_code


def test_users_change_their_own_password(client: Client, olga: ApiCaller) -> None:
    assert change(olga, OLGA["password"], "another battery horse") == 204

    assert olga.get("/api/v1/limits").status_code == 401
    assert logged_in(client, "olga", OLGA["password"]) is None
    assert logged_in(client, "olga", "another battery horse")


@pytest.mark.parametrize(
    ("current", "new", "status"),
    [("wrong", "another battery horse", 401), (OLGA["password"], "short", 422), ("wrong", "short", 422)],
)
def test_a_change_that_is_refused_changes_nothing(
    client: Client, olga: ApiCaller, current: str, new: str, status: int
) -> None:
    assert change(olga, current, new) == status

    assert olga.get("/api/v1/limits").status_code == 200
    assert logged_in(client, "olga", OLGA["password"])


def test_a_found_token_does_not_guess_the_password(olga: ApiCaller) -> None:
    guesses = [change(olga, f"guess {number}", "another battery horse") for number in range(6)]

    assert guesses == [401] * 5 + [429]
    assert change(olga, OLGA["password"], "another battery horse") == 429


def test_a_client_has_no_password_to_change(app: Flask, client: Client, service: Service) -> None:
    machine = service.accounts.create_client("x", frozenset({Scope.IMPORTS_READ}), "administrator")
    form = {
        "grant_type": "client_credentials",
        "client_id": machine.client.login,
        "client_secret": machine.secret.reveal().decode(),
    }
    token = (client.post("/api/v1/token", data=form).json or {})["access_token"]

    assert change(ApiCaller(client, token), form["client_secret"], "another battery horse") == 401


# --- sessions -------------------------------------------------------------------------------------


@pytest.fixture
def two(new_service: NewService) -> tuple[ApiCaller, ApiCaller]:
    """The administrator and an auditor, on one service."""
    service = new_service()
    service.accounts.create_user("anna", Role.AUDITOR, Secret(PASSWORD.encode()), "administrator")
    client = a_client(an_app(service))
    first, second = (logged_in(client, login, PASSWORD) for login in ("administrator", "anna"))
    assert first is not None
    assert second is not None
    return first, second


def sessions(caller: ApiCaller, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(f"/api/v1/sessions{query}")
    assert answer.status_code == 200
    assert answer.json is not None
    return list(answer.json["items"])


def test_everybody_sees_their_own_sessions_and_an_administrator_all(two: tuple[ApiCaller, ApiCaller]) -> None:
    administrator, anna = two

    assert [each["login"] for each in sessions(anna)] == ["anna"]
    assert [each["login"] for each in sessions(administrator)] == ["administrator"]
    assert {each["login"] for each in sessions(administrator, "?all=true")} == {"administrator", "anna"}
    assert [each["login"] for each in sessions(anna, "?all=false")] == ["anna"]


def test_all_needs_admin(two: tuple[ApiCaller, ApiCaller]) -> None:
    answer = two[1].get("/api/v1/sessions?all=true")

    assert answer.status_code == 403
    assert 'scope="admin"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("value", ["", "1", "TRUE", "yes"])
def test_all_is_true_or_false(two: tuple[ApiCaller, ApiCaller], value: str) -> None:
    assert two[0].get(f"/api/v1/sessions?all={value}").status_code == 400


def test_a_session_holds_no_token(two: tuple[ApiCaller, ApiCaller]) -> None:
    text = two[0].get("/api/v1/sessions?all=true").text

    assert not any(part in text for caller in two for part in caller.token.split("."))


def test_a_session_is_ended_by_its_owner_once(two: tuple[ApiCaller, ApiCaller]) -> None:
    administrator, anna = two
    [session] = sessions(anna)

    assert anna.open("DELETE", f"/api/v1/sessions/{session['id']}").status_code == 204
    assert anna.get("/api/v1/limits").status_code == 401
    assert administrator.open("DELETE", f"/api/v1/sessions/{session['id']}").status_code == 404


def test_an_administrator_ends_anybodys_session(two: tuple[ApiCaller, ApiCaller]) -> None:
    administrator, anna = two
    [session] = sessions(anna)

    assert administrator.open("DELETE", f"/api/v1/sessions/{session['id']}").status_code == 204
    assert anna.get("/api/v1/limits").status_code == 401


def test_somebody_elses_session_answers_like_one_that_does_not_exist(
    two: tuple[ApiCaller, ApiCaller],
) -> None:
    administrator, anna = two
    [theirs] = sessions(administrator)
    answers = [
        anna.open("DELETE", f"/api/v1/sessions/{session_id}")
        for session_id in (theirs["id"], "0" * 32, "x", "%00", "%ff", "x" * 500)
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({(answer.json or {})["detail"] for answer in answers}) == 1
    assert administrator.get("/api/v1/limits").status_code == 200
