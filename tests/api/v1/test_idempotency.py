"""A request that is sent again with its key does nothing twice, and is answered as it was the first time."""

import io
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bulkcert.store.clock import utc_now
from bulkcert.values.limits import Limits
from bulkcert.values.principals import Role, Scope
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.conftest import PASSWORD, ApiCaller, NewService, Worker, an_api_caller
from tests.api.contract import document
from tests.api.v1.test_deletions import assert_nothing_was_deleted, current_identities
from tests.api.v1.test_imports import FIRST, SECOND, a_form, assert_nothing_was_kept, imported, upload
from tests.builders import a_bundle

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def delete(
    caller: ApiCaller, *identities: str, headers: dict[str, str] | None = KEY, **members: Any
) -> TestResponse:
    body = {"identity_type": "SERIAL_NUMBER", "identities": list(identities)} | members
    return caller.post("/api/v1/deletions", json=body, headers=headers)


def ids(caller: ApiCaller, kind: str) -> list[str]:
    answer = caller.get(f"/api/v1/{kind}").json
    assert answer is not None
    return [each["id"] for each in answer["items"]]


def refusal_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.json is not None
    return answer.status_code, answer.json["code"]


NO_KEYS = ["", " ", "a b", "a\tb", "x" * 256, "\x7f", "schl\xfcssel", "\xa0"]
KEYS = ["1", "!~", "x" * 255, '"quoted"', "a,b", KEY["Idempotency-Key"]]


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_key_is_refused_before_anything_is_read(refused: ApiCaller, key: str) -> None:
    body = io.BytesIO(a_bundle([FIRST]))
    answer = refused.post(
        "/api/v1/imports?identity_type=SERIAL_NUMBER",
        input_stream=body,
        content_type="application/zip",
        headers={"Idempotency-Key": key},
    )

    assert_nothing_was_kept(refused, answer, 400, "malformed_request")
    assert body.tell() == 0
    deletion = delete(refused, FIRST, headers={"Idempotency-Key": key})
    assert_nothing_was_deleted(refused, deletion, 400, "malformed_request")


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_any_word_of_visible_characters(caller: ApiCaller, key: str) -> None:
    bundle = a_bundle([FIRST])
    answers = [upload(caller, bundle, {"Idempotency-Key": key}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(ids(caller, "imports")) == 1


def test_the_contract_says_what_a_key_is() -> None:
    pattern = document()["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"]

    assert [key for key in NO_KEYS if re.search(pattern, key)] == []
    assert [key for key in KEYS if not re.search(pattern, key)] == []


# --- imports ------------------------------------------------------------------------------------------


def test_an_upload_sent_again_is_answered_with_the_same_import_as_it_stands(
    caller: ApiCaller, worker: Worker
) -> None:
    bundle = a_bundle([FIRST, SECOND])
    first, second = upload(caller, bundle, KEY), upload(caller, bundle, KEY)
    worker.work()
    third = upload(caller, bundle, KEY)

    assert [answer.status_code for answer in (first, second, third)] == [202, 202, 201]
    assert first.json == second.json
    assert "Retry-After" in second.headers
    assert "Retry-After" not in third.headers
    assert third.headers["Location"] == first.headers["Location"]
    assert third.json == caller.get(first.headers["Location"]).json
    assert len(ids(caller, "imports")) == 1


def test_an_upload_sent_again_waits_for_the_import_that_still_runs(
    caller: ApiCaller, worker: Worker
) -> None:  # fmt: skip
    bundle = a_bundle([FIRST])
    first = upload(caller, bundle, KEY)
    with worker.working():
        second = upload(caller, bundle, KEY | {"Prefer": "wait=60"})

    assert (first.status_code, second.status_code) == (202, 201)
    assert second.headers["Location"] == first.headers["Location"]


def test_the_way_of_sending_does_not_make_another_request(caller: ApiCaller) -> None:
    bundle = a_bundle([FIRST])
    form = upload(caller, bundle, KEY)
    spelled_out = upload(caller, bundle, KEY, on_conflict="replace", validate_only="false")
    raw = caller.post(
        "/api/v1/imports?identity_type=SERIAL_NUMBER", data=bundle, content_type="application/zip", headers=KEY
    )  # fmt: skip

    assert form.json == spelled_out.json == raw.json


@pytest.mark.parametrize(
    "fields",
    [
        {"on_conflict": "keep"},
        {"validate_only": "true"},
        {"credentials_file": "credential.txt"},
        {"identity_type": "IMEI"},
    ],
)
def test_the_same_key_with_other_fields_is_refused(caller: ApiCaller, fields: dict[str, str]) -> None:
    bundle = a_bundle([FIRST])
    upload(caller, bundle, KEY)

    assert refusal_of(upload(caller, bundle, KEY, **fields)) == (422, "idempotency_key_reused")
    assert len(ids(caller, "imports")) == 1


def test_the_same_key_with_another_bundle_is_refused_however_far_the_import_is(
    caller: ApiCaller, worker: Worker
) -> None:
    bundle = a_bundle([FIRST])
    upload(caller, bundle, KEY)
    early = upload(caller, a_bundle([FIRST]), KEY)
    worker.work()
    late = upload(caller, b"not even a zip", KEY)

    assert refusal_of(early) == refusal_of(late) == (422, "idempotency_key_reused")
    assert upload(caller, bundle, KEY).status_code == 201


def test_another_key_or_none_makes_another_import(caller: ApiCaller) -> None:
    bundle = a_bundle([FIRST])
    for headers in (KEY, {"Idempotency-Key": "another"}, {}, {}):
        assert upload(caller, bundle, headers).status_code == 202

    assert len(ids(caller, "imports")) == 4


def test_a_request_that_was_refused_leaves_its_key_free(caller: ApiCaller) -> None:
    assert refusal_of(upload(caller, b"no zip", KEY)) == (422, "not_a_zip")
    assert upload(caller, a_bundle([FIRST]), KEY).status_code == 202


def test_a_key_belongs_to_one_principal_whatever_token_is_shown(
    service: Service, caller: ApiCaller, client: Client
) -> None:
    service.accounts.create_user("operator", Role.OPERATOR, Secret(PASSWORD.encode()), "administrator")
    login = client.post("/api/v1/sessions", json={"login": "operator", "password": PASSWORD})
    assert login.json is not None
    operator = ApiCaller(client, login.json["access_token"])
    again = an_api_caller(service)
    bundle = a_bundle([FIRST])
    first, same, other = (upload(each, bundle, KEY) for each in (caller, again, operator))

    assert first.json == same.json
    assert other.status_code == 202
    assert other.headers["Location"] != first.headers["Location"]
    assert upload(operator, bundle, KEY).json == other.json


def test_the_scope_is_checked_again(service: Service, caller: ApiCaller) -> None:
    bundle = a_bundle([FIRST])
    upload(caller, bundle, KEY)
    delete(caller, FIRST)
    scopes = set(Scope) - {Scope.IMPORTS_WRITE, Scope.CERTIFICATES_DELETE}
    reader = an_api_caller(service, scopes)

    assert refusal_of(upload(reader, bundle, KEY)) == (403, "insufficient_scope")
    assert refusal_of(delete(reader, FIRST)) == (403, "insufficient_scope")


def test_two_that_come_at_once_make_one_import(service: Service) -> None:
    bundle = a_bundle([FIRST, SECOND])
    callers = [an_api_caller(service) for _ in range(8)]
    answers: list[TestResponse] = []
    threads = [
        threading.Thread(target=lambda caller=caller: answers.append(upload(caller, bundle, KEY)))
        for caller in callers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.status_code for answer in answers] == [202] * 8
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(ids(callers[0], "imports")) == 1


def test_what_waits_already_is_no_reason_to_refuse_its_own_repetition(new_service: NewService) -> None:
    caller = an_api_caller(new_service(limits=Limits(waiting_imports=1)))
    bundle = a_bundle([FIRST])
    first, second = upload(caller, bundle, KEY), upload(caller, bundle, KEY)
    other = upload(caller, bundle, {"Idempotency-Key": "another"})

    assert (first.status_code, second.status_code, other.status_code) == (202, 202, 429)
    assert first.json == second.json


@pytest.mark.parametrize(("hours", "imports"), [(23, 1), (25, 2)])
def test_a_key_is_forgotten_after_a_day(new_service: NewService, hours: int, imports: int) -> None:
    moment = [utc_now()]
    clock: Callable[[], datetime] = lambda: moment[0]  # noqa: E731
    service = new_service(clock)
    bundle = a_bundle([FIRST])
    first = upload(an_api_caller(service), bundle, KEY)
    moment[0] += timedelta(hours=hours)
    caller = an_api_caller(service)  # the token of before has ended
    second = upload(caller, bundle, KEY)

    assert (first.status_code, second.status_code) == (202, 202)
    assert len(ids(caller, "imports")) == imports


# --- deletions ----------------------------------------------------------------------------------------


def delete_file(caller: ApiCaller, *identities: str, **fields: str) -> TestResponse:
    content = "".join(f"{identity}\n" for identity in identities).encode()
    form = {"identities": (io.BytesIO(content), "list.txt"), "identity_type": "SERIAL_NUMBER"} | fields
    return caller.post("/api/v1/deletions", data=form, headers=KEY)


@pytest.mark.parametrize("send", [delete, delete_file])
def test_a_deletion_sent_again_deletes_nothing_more(
    caller: ApiCaller, worker: Worker, send: Callable[..., TestResponse]
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    first = send(caller, FIRST)
    imported(caller, worker, a_bundle([FIRST]))
    second = send(caller, FIRST)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json is not None
    assert first.json["counts"]["deleted"] == 1
    assert second.json == first.json
    assert second.headers["Location"] == first.headers["Location"]
    assert current_identities(caller) == [FIRST]
    assert len(ids(caller, "deletions")) == 1


def test_the_way_of_sending_does_not_make_another_deletion(caller: ApiCaller) -> None:
    assert delete(caller, FIRST, SECOND).json == delete_file(caller, FIRST, SECOND).json


@pytest.mark.parametrize("send", [delete, delete_file])
@pytest.mark.parametrize(
    ("identities", "fields"),
    [
        ([FIRST, SECOND], {}),
        ([SECOND], {}),
        ([], {}),
        ([FIRST], {"identity_type": "MEID"}),
        ([FIRST], {"validate_only": True}),
    ],
)
def test_the_same_key_with_another_deletion_is_refused(
    caller: ApiCaller, send: Callable[..., TestResponse], identities: list[str], fields: dict[str, Any]
) -> None:
    assert send(caller, FIRST).status_code == 201
    if send is delete_file:
        fields = {name: str(value).lower() if value is True else value for name, value in fields.items()}
    answer = send(caller, *identities, **fields)

    # An empty list is refused as what it is: there is nothing to recognise in it.
    expected = (422, "idempotency_key_reused") if identities else (422, "empty_list")
    assert refusal_of(answer) == expected
    assert len(ids(caller, "deletions")) == 1


def test_a_dry_run_sent_again_is_answered_200(caller: ApiCaller) -> None:
    answers = [delete(caller, FIRST, validate_only=True) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json


def test_an_import_and_a_deletion_may_have_the_same_key(caller: ApiCaller) -> None:
    assert upload(caller, a_bundle([FIRST]), KEY).status_code == 202
    assert delete(caller, FIRST).status_code == 201


def test_a_deletion_of_somebody_else_with_the_same_key_is_another_one(
    service: Service, caller: ApiCaller, client: Client
) -> None:
    service.accounts.create_user("operator", Role.OPERATOR, Secret(PASSWORD.encode()), "administrator")
    login = client.post("/api/v1/sessions", json={"login": "operator", "password": PASSWORD})
    assert login.json is not None
    operator = ApiCaller(client, login.json["access_token"])

    assert delete(caller, FIRST).headers["Location"] != delete(operator, FIRST).headers["Location"]


def test_a_key_is_nowhere_in_an_answer(caller: ApiCaller) -> None:
    upload(caller, a_bundle([FIRST]), KEY)
    refused = caller.post("/api/v1/imports", data=a_form(a_bundle([FIRST])), headers=KEY)

    assert refused.status_code == 422
    assert KEY["Idempotency-Key"] not in refused.text
