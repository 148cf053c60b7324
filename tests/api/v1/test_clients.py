"""Machine clients: make, list, rotate, disable."""

import json
from typing import Any

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import Client

from bulkcert.values.principals import Scope
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, a_token

PATH = "/api/v1/clients"
ORDER = {"name": "CA script", "scopes": ["imports:write", "imports:read"]}


def made(caller: ApiCaller, **changes: Any) -> dict[str, Any]:
    answer = caller.post(PATH, json=ORDER | changes)
    assert answer.status_code == 201
    assert answer.json is not None
    return dict(answer.json)


def gets_a_token(client: Client, machine: dict[str, Any], secret: str) -> bool:
    form = {
        "grant_type": "client_credentials",
        "client_id": machine["client_id"],
        "client_secret": secret,
    }
    status = client.post("/api/v1/token", data=form).status_code
    assert status in {200, 401}
    return status == 200


def test_a_client_is_made_and_its_secret_shown_once(caller: ApiCaller, client: Client) -> None:
    machine = made(caller)
    secret = machine.pop("client_secret")
    listing = caller.get(PATH)

    assert gets_a_token(client, machine, secret)
    assert machine["scopes"] == ["imports:read", "imports:write"]
    assert (machine["name"], machine["disabled"]) == ("CA script", False)
    assert listing.json == {"items": [machine], "next_cursor": None}
    assert secret not in listing.text


def test_a_rotation_lets_the_secret_of_before_work_on(caller: ApiCaller, client: Client) -> None:
    machine = made(caller)
    rotated = caller.post(f"{PATH}/{machine['client_id']}/rotate").json

    assert rotated is not None
    assert rotated["client_secret"] != machine["client_secret"]
    assert gets_a_token(client, machine, machine["client_secret"])
    assert gets_a_token(client, machine, rotated["client_secret"])


def test_a_rotation_without_overlap_ends_the_secret_of_before(caller: ApiCaller, client: Client) -> None:
    machine = made(caller)
    rotated = caller.post(f"{PATH}/{machine['client_id']}/rotate", json={"overlap_seconds": 0}).json

    assert rotated is not None
    assert not gets_a_token(client, machine, machine["client_secret"])
    assert gets_a_token(client, machine, rotated["client_secret"])


@pytest.mark.parametrize("seconds", [-1, 2592001, "0", 1.5, True, None, [], 10**30])
def test_an_overlap_of_another_form_is_refused(caller: ApiCaller, seconds: object) -> None:
    machine = made(caller)
    answer = caller.post(f"{PATH}/{machine['client_id']}/rotate", json={"overlap_seconds": seconds})

    assert answer.status_code == 400


def test_a_disabled_client_is_listed_and_of_no_use(caller: ApiCaller, client: Client) -> None:
    machine = made(caller)
    path = f"{PATH}/{machine['client_id']}"
    answers = [caller.post(f"{path}/disable") for _ in range(2)]

    assert [(answer.status_code, (answer.json or {})["disabled"]) for answer in answers] == [(200, True)] * 2
    assert not gets_a_token(client, machine, machine["client_secret"])
    assert caller.post(f"{path}/rotate").status_code == 404
    assert (caller.get(PATH).json or {})["items"][0]["disabled"] is True


@pytest.mark.parametrize("verb", ["rotate", "disable"])
@pytest.mark.parametrize(
    "client_id", ["client-0000000000000000", "administrator", "%00", "%ff", "x" * 500, "%20"]
)
def test_an_unknown_client_is_not_found(refused: ApiCaller, client_id: str, verb: str) -> None:
    assert refused.post(f"{PATH}/{client_id}/{verb}").status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "a\nb"},
        {"name": "a\x00b"},
        {"name": "\u202egnp"},
        {"name": "x" * 101},
        {"name": 1},
        {"scopes": []},
        {"scopes": "admin"},
        {"scopes": ["everything"]},
        {"scopes": [1]},
        {"scopes": None},
        {"surprise": 1},
    ],
)
def test_a_client_of_another_form_is_refused(refused: ApiCaller, changes: dict[str, Any]) -> None:
    answer = refused.post(PATH, json=ORDER | changes)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")


def test_admin_alone_gives_no_scope_that_it_does_not_have(
    app: Flask, client: Client, service: Service, caller: ApiCaller
) -> None:
    admin = ApiCaller(client, a_token(app, service, {Scope.ADMIN, Scope.IMPORTS_READ}))
    theirs = made(caller, scopes=["keys:release"])

    assert made(admin, scopes=["imports:read"])
    for answer in (
        admin.post(PATH, json=ORDER | {"scopes": ["imports:read", "keys:release"]}),
        admin.post(f"{PATH}/{theirs['client_id']}/rotate"),
    ):
        assert answer.json is not None
        assert (answer.status_code, answer.json["code"]) == (403, "insufficient_scope")
        assert "keys:release" in answer.json["detail"]
    assert len((admin.get(PATH).json or {})["items"]) == 2


def test_pages_hold_each_client_once(caller: ApiCaller) -> None:
    expected = [made(caller, name=f"machine {number}")["client_id"] for number in range(3)]
    found: list[str] = []
    cursor = ""
    while True:
        page = caller.get(f"{PATH}?limit=2{cursor}").json
        assert page is not None
        found += [each["client_id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert found == expected


def test_no_log_line_and_no_event_and_no_row_holds_the_secret(caller: ApiCaller, service: Service) -> None:
    with capture_logs() as log:
        secret = made(caller)["client_secret"]

    with service.store.reading() as tx:
        assert secret not in repr(tx.events.list())
    with service.store.engine.connect() as connection:
        rows = repr(connection.exec_driver_sql("SELECT * FROM client_secrets").all())
    assert secret not in json.dumps(log) + rows
