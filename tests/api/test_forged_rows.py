"""Promise P32 at the APIs: what was altered by hand is refused as wrong credentials and as an ended token are."""

import pytest
import sqlalchemy as sa

from bulkcert.store.tables.access import principals, tokens
from bulkcert.values.principals import Scope
from bulkcert.wiring.service import Service
from tests.api.conftest import PASSWORD, ApiCaller, Client, an_api_caller


def change(service: Service, table: sa.Table, **values: object) -> None:
    with service.store.engine.begin() as connection:
        connection.execute(sa.update(table).values(values))


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (tokens, {"scopes": " ".join(sorted(Scope))}),
        (tokens, {"mac": None}),
        (principals, {"generation": 0, "mac": None}),
        (principals, {"scopes": "admin"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else value.name,
)
def test_p32_a_token_behind_altered_rows_is_an_ended_one(
    service: Service, table: sa.Table, values: dict[str, object]
) -> None:
    caller: ApiCaller = an_api_caller(service, [Scope.IMPORTS_READ])
    assert caller.get("/api/v1/imports").status_code == 200
    change(service, table, **values)

    for path in ("/api/v1/imports", "/api/v1/users"):
        answer = caller.get(path)
        assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")


def test_p32_a_login_of_an_altered_user_is_answered_as_a_wrong_password(
    client: Client, service: Service
) -> None:
    answers = []
    for password in ("not the password", PASSWORD):
        body = {"login": "administrator", "password": password}
        answers.append(client.post("/api/v1/sessions", json=body))
        change(service, principals, name="no column that counts", generation=5)

    wrong, altered = (dict(each.json) for each in answers)
    assert [each.status_code for each in answers] == [401, 401]
    assert wrong.pop("instance") != altered.pop("instance")
    assert wrong == altered
