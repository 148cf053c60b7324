"""Quotas: whoever has too much work waiting is told when to come back, and nothing is kept."""

import pytest
from werkzeug.test import Client, TestResponse

from bulkcert.values.limits import Limits
from bulkcert.values.principals import Role
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.citrix.conftest import a_citrix_caller, refusal_of
from tests.api.conftest import PASSWORD, ApiCaller, NewService, a_client, a_worker, an_api_caller, an_app
from tests.api.v1.test_cancelling import cancel
from tests.api.v1.test_deletions import delete
from tests.api.v1.test_imports import FIRST, SECOND, upload
from tests.builders import a_bundle

OF_SERIALS = '{"identityType":"SERIAL_NUMBER"}'
QUOTAS = [Limits(waiting_imports=1), Limits(waiting_bytes=1), Limits(waiting_bytes_of_all=1)]


def assert_too_many(answer: TestResponse) -> None:
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) > 0


def imports(caller: ApiCaller) -> int:
    answer = caller.get("/api/v1/imports").json
    assert answer is not None
    return len(answer["items"])


@pytest.mark.parametrize("limits", QUOTAS)
def test_too_much_work_is_refused_until_some_is_done(new_service: NewService, limits: Limits) -> None:
    service = new_service(limits=limits)
    caller = an_api_caller(service)
    assert upload(caller, a_bundle([FIRST])).status_code == 202
    assert_too_many(upload(caller, a_bundle([SECOND])))
    assert_too_many(upload(caller, a_bundle([SECOND]), validate_only="true"))
    assert imports(caller) == 1
    a_worker(service).work()

    assert upload(caller, a_bundle([SECOND])).status_code == 202


@pytest.mark.parametrize("limits", QUOTAS)
def test_what_is_cancelled_makes_room(new_service: NewService, limits: Limits) -> None:
    caller = an_api_caller(new_service(limits=limits))
    cancel(caller, upload(caller, a_bundle([FIRST])).headers["Location"])

    assert upload(caller, a_bundle([SECOND])).status_code == 202


@pytest.mark.parametrize("limits", QUOTAS)
def test_deletions_are_not_refused_and_make_room(new_service: NewService, limits: Limits) -> None:
    caller = an_api_caller(new_service(limits=limits))
    upload(caller, a_bundle([FIRST]))

    assert delete(caller, FIRST).status_code == 201


@pytest.mark.parametrize(("limits", "status"), list(zip(QUOTAS, [202, 202, 429], strict=True)))
def test_the_quota_of_one_is_not_that_of_another(
    new_service: NewService, limits: Limits, status: int
) -> None:
    service = new_service(limits=limits)
    caller = an_api_caller(service)
    upload(caller, a_bundle([FIRST]))

    assert upload(an_operator(service), a_bundle([SECOND])).status_code == status


def an_operator(service: Service) -> ApiCaller:
    service.accounts.create_user("operator", Role.OPERATOR, Secret(PASSWORD.encode()), "administrator")
    client: Client = a_client(an_app(service))
    login = client.post("/api/v1/sessions", json={"login": "operator", "password": PASSWORD})
    assert login.json is not None
    return ApiCaller(client, login.json["access_token"])


@pytest.mark.parametrize("limits", QUOTAS)
def test_at_the_citrix_compatible_api_it_is_said_in_an_envelope_and_the_same_bundle_still_joins(
    new_service: NewService, limits: Limits
) -> None:
    service = new_service(limits=limits, citrix_wait_seconds=0)
    citrix = a_citrix_caller(an_app(service), service)
    bundle = a_bundle([FIRST])
    first = citrix.upload(bundle, OF_SERIALS)
    other = citrix.upload(a_bundle([SECOND]), OF_SERIALS)
    joined = citrix.upload(bundle, OF_SERIALS)

    assert refusal_of(first) == refusal_of(joined) == (503, "still_running")
    assert first.json["importId"] == joined.json["importId"]
    assert refusal_of(other) == (429, "too_many_requests")
    assert int(other.headers["Retry-After"]) > 0
    assert "importId" not in other.json
