"""The feed over HTTP: leased, released as profiles, reported on; and what anybody else may see of it."""

import plistlib
from datetime import datetime
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bulkcert.store.clock import utc_now
from bulkcert.values.events import EventType
from bulkcert.values.principals import SCOPES_OF, Role, Scope
from bulkcert.wiring.service import Service
from tests.api.conftest import (
    ApiCaller,
    NewService,
    Worker,
    a_client,
    a_token,
    a_worker,
    an_api_caller,
    an_app,
)
from tests.api.v1.test_certificates import listed
from tests.api.v1.test_deletions import delete, delete_listed
from tests.api.v1.test_imports import FIRST, SECOND, THIRD, imported
from tests.api.v1.test_vpn_policies import PROFILE, created, events, states
from tests.builders import a_bundle, a_certificate, a_pkcs12, an_ec_key
from tests.clock import Clock

PATH = "/api/v1/deployments"


def lease(caller: ApiCaller, **order: Any) -> list[dict[str, Any]]:
    answer = caller.post(f"{PATH}/lease", json=order)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return list(answer.json["items"])


def report(caller: ApiCaller, item: dict[str, Any], state: str, **members: Any) -> TestResponse:
    told = {"lease": item["lease"], "state": state} | members
    return caller.post(f"{PATH}/{item['deployment']['id']}/report", json=told)


def profile(caller: ApiCaller, item: dict[str, Any]) -> TestResponse:
    return caller.post(f"{PATH}/{item['deployment']['id']}/profile", json={"lease": item["lease"]})


def code_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.json is not None
    return answer.status_code, answer.json["code"]


@pytest.fixture
def item(caller: ApiCaller, worker: Worker) -> dict[str, Any]:
    """A lease of the one deployment that there is."""
    imported(caller, worker, a_bundle([FIRST]))
    created(caller)
    [item] = lease(caller)
    return item


# --- the way that everything goes well ---


def test_a_deployment_is_leased_released_delivered_and_installed(
    caller: ApiCaller, worker: Worker, service: Service
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    made = created(caller)
    [certificate] = listed(caller)
    [item] = lease(caller, lease_seconds=60)
    deployment = item["deployment"]

    assert (item["action"], item["profile"]) == ("install", f"{PATH}/{deployment['id']}/profile")
    assert item["leased_until"] == deployment["leased_until"]
    assert deployment == {
        "id": deployment["id"],
        "policy_id": made["id"],
        "policy_name": made["policy"]["name"],
        "identity_type": "SERIAL_NUMBER",
        "identity": FIRST,
        "state": "leased",
        "certificate_id": certificate["id"],
        "installed_certificate_id": None,
        "attempts": 1,
        "not_before": deployment["not_before"],
        "leased_until": deployment["leased_until"],
        "leased_by": "administrator",
        "error": None,
        "created_at": deployment["created_at"],
        "updated_at": deployment["updated_at"],
        "delivered_at": None,
        "installed_at": None,
    }
    assert caller.get(f"{PATH}/{deployment['id']}").json == deployment

    released = caller.post(item["profile"], json={"lease": item["lease"]})
    assert (released.status_code, released.mimetype) == (200, PROFILE)
    assert released.headers["Cache-Control"] == "no-store"
    assert released.headers["X-Certificate-Sha256"] == certificate["fingerprint_sha256"]
    assert plistlib.loads(released.data)["PayloadIdentifier"] == item["profile_identifier"]
    [event] = events(service, EventType.KEY_RELEASED)
    assert (event.actor, event.facts["deployment_id"]) == ("administrator", int(deployment["id"]))

    delivered = report(caller, item, "delivered", lease_seconds=5000).json or {}
    assert delivered["state"] == "delivered"
    assert delivered["delivered_at"] is not None
    goes_on = datetime.fromisoformat(delivered["leased_until"]) - datetime.fromisoformat(
        delivered["delivered_at"]
    )
    assert goes_on.total_seconds() == pytest.approx(5000, abs=1)
    shown = released.headers["X-Certificate-Sha256"]
    installed = report(caller, item, "installed", certificate_sha256=shown).json or {}
    assert installed["state"] == "installed"
    assert installed["installed_certificate_id"] == certificate["id"]
    assert (installed["leased_until"], installed["leased_by"], installed["not_before"]) == (None, None, None)
    assert caller.get(f"{PATH}/{deployment['id']}").json == installed


def test_a_removal_has_no_profile_and_ends_as_removed(caller: ApiCaller, item: dict[str, Any]) -> None:
    fingerprint = listed(caller)[0]["fingerprint_sha256"]
    report(caller, item, "installed", certificate_sha256=fingerprint)
    delete(caller, FIRST, remove_from_devices=True)
    [removal] = lease(caller)

    assert (removal["action"], removal["profile"]) == ("remove", None)
    assert removal["profile_identifier"] == item["profile_identifier"]
    assert removal["deployment"]["state"] == "removing"
    assert code_of(profile(caller, removal)) == (409, "other_certificate")
    assert code_of(report(caller, removal, "installed", certificate_sha256=fingerprint)) == (
        409,
        "other_certificate",
    )
    answer = report(caller, removal, "removed")
    assert answer.json is not None
    assert (answer.json["state"], answer.json["installed_certificate_id"]) == ("removed", None)


def test_the_fingerprint_is_read_with_colons_and_in_capitals(caller: ApiCaller, item: dict[str, Any]) -> None:
    fingerprint = listed(caller)[0]["fingerprint_sha256"]
    written = bytes.fromhex(fingerprint).hex(":").upper()

    assert profile(caller, item).status_code == 200
    assert report(caller, item, "installed", certificate_sha256=written).status_code == 200


# --- leases ---


def test_so_many_are_leased_and_each_once(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND, THIRD]))
    created(caller)

    assert [len(lease(caller, max=2)) for _ in range(3)] == [2, 1, 0]


def test_one_policy_alone_can_be_leased(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    first, second = created(caller), created(caller, name="other")

    [item] = lease(caller, policy=second["id"])
    assert item["deployment"]["policy_id"] == second["id"]
    assert lease(caller, policy="123456") == []
    assert lease(caller)[0]["deployment"]["policy_id"] == first["id"]


def test_a_lease_that_ended_is_given_to_somebody_else(new_service: NewService) -> None:
    clock = Clock(utc_now())
    service = new_service(clock)
    caller = an_api_caller(service)
    imported(caller, a_worker(service), a_bundle([FIRST]))
    created(caller)
    [lost] = lease(caller, lease_seconds=10)
    assert lease(caller) == []
    clock.pass_by(seconds=11)
    [held] = lease(caller)

    assert held["lease"] != lost["lease"]
    assert held["deployment"]["attempts"] == 2
    for answer in (profile(caller, lost), report(caller, lost, "delivered"), report(caller, lost, "failed")):
        assert code_of(answer) == (409, "lease_lost")
    assert profile(caller, held).status_code == 200


def test_the_lease_of_somebody_else_is_of_no_use(
    caller: ApiCaller, item: dict[str, Any], service: Service
) -> None:
    other = client_of(caller, ["deployments:write", "keys:release"])

    assert lease(other) == []
    for answer in (
        profile(other, item),
        report(other, item, "delivered"),
        report(other, item, "failed"),
        report(other, item, "installed", certificate_sha256=listed(caller)[0]["fingerprint_sha256"]),
    ):
        assert code_of(answer) == (409, "lease_lost")
    assert events(service, EventType.KEY_RELEASED) == []
    assert states(caller) == {"leased": 1}


def client_of(caller: ApiCaller, scopes: list[str]) -> ApiCaller:
    """A machine client with a token of its own."""
    made = caller.post("/api/v1/clients", json={"name": "deployer", "scopes": scopes}).json
    assert made is not None
    form = {"grant_type": "client_credentials"} | {
        each: made[each] for each in ("client_id", "client_secret")
    }
    token = caller.client.post("/api/v1/token", data=form).json
    assert token is not None
    return ApiCaller(caller.client, token["access_token"])


def test_a_client_leases_in_its_own_name(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    created(caller)
    client = client_of(caller, ["deployments:write", "keys:release"])
    [item] = lease(client)

    assert item["deployment"]["leased_by"] not in {None, "administrator"}
    assert profile(client, item).status_code == 200
    assert client.get(PATH).status_code == 403


def test_a_new_certificate_takes_the_deployment_out_of_hand(
    caller: ApiCaller, worker: Worker, item: dict[str, Any]
) -> None:
    imported(caller, worker, a_bundle([FIRST]))

    assert code_of(profile(caller, item)) == (409, "lease_lost")
    assert code_of(report(caller, item, "delivered")) == (409, "lease_lost")
    [held] = lease(caller)
    assert held["deployment"]["certificate_id"] != item["deployment"]["certificate_id"]


def test_another_certificate_than_the_wanted_one_is_not_installed(
    caller: ApiCaller, item: dict[str, Any]
) -> None:
    answer = report(caller, item, "installed", certificate_sha256="0" * 64)

    assert code_of(answer) == (409, "other_certificate")
    assert code_of(report(caller, item, "removed")) == (409, "other_certificate")
    assert states(caller) == {"leased": 1}


def test_a_certificate_that_does_not_fit_fails_the_deployment_and_says_why(
    caller: ApiCaller, worker: Worker, service: Service
) -> None:
    key = an_ec_key()
    unfit = a_pkcs12(key=key, certificate=a_certificate(key, FIRST, client_auth=False))
    imported(caller, worker, a_bundle([FIRST], files={FIRST: unfit}))
    created(caller)
    [item] = lease(caller)
    answer = profile(caller, item)

    assert code_of(answer) == (422, "usage_not_client_auth")
    found = caller.get(f"{PATH}/{item['deployment']['id']}").json
    assert found is not None
    assert (found["state"], found["not_before"]) == ("failed", None)
    assert found["error"] == {"code": "usage_not_client_auth", "detail": (answer.json or {})["detail"]}
    assert events(service, EventType.KEY_RELEASED) == []


# --- failures, and beginning again ---


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({}, {"code": "deployer_failed", "detail": "The deployer did not say why."}),
        (
            {"code": "away_1", "detail": "Not \u2028 there."},
            {"code": "away_1", "detail": "Not \u2028 there."},
        ),
    ],
)
def test_what_failed_waits_and_is_ready_at_once_when_somebody_says_so(
    caller: ApiCaller, item: dict[str, Any], members: dict[str, str], error: dict[str, str]
) -> None:
    failed = report(caller, item, "failed", **members).json or {}
    assert (failed["state"], failed["error"]) == ("failed", error)
    assert failed["not_before"] > failed["updated_at"]
    assert lease(caller) == []
    again = caller.post(f"{PATH}/{failed['id']}/retry").json or {}
    assert (again["state"], again["error"], again["attempts"]) == ("pending", None, 0)

    assert len(lease(caller)) == 1


def test_a_retry_leaves_alone_what_did_not_fail(caller: ApiCaller, item: dict[str, Any]) -> None:
    answer = caller.post(f"{PATH}/{item['deployment']['id']}/retry")

    assert answer.json == item["deployment"]


# --- what is refused ---


@pytest.mark.parametrize(
    "order",
    [
        *({"max": bad} for bad in (0, 1001, -1, 1.5, "1", True, None)),
        *({"lease_seconds": bad} for bad in (9, 86_401, 60.5, "60", None)),
        *({"policy": bad} for bad in (1, "0", "01", "", "x", None)),
        {"surprise": 1},
    ],
)
def test_a_lease_that_is_not_of_the_contract_is_refused(refused: ApiCaller, order: dict[str, Any]) -> None:
    assert code_of(refused.post(f"{PATH}/lease", json=order)) == (400, "malformed_request")


SHA256 = {"certificate_sha256": "0" * 64}


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({}, ["state"]),
        *(({"state": bad}, ["state"]) for bad in ("pending", "leased", "superseded", "conflict", "", 1, None)),
        ({"state": "delivered"} | SHA256, ["certificate_sha256"]),
        ({"state": "delivered", "code": "x", "detail": "x"}, ["code", "detail"]),
        *(({"state": "delivered", "lease_seconds": bad}, ["lease_seconds"]) for bad in (9, 86_401, "60", None)),
        ({"state": "installed"}, ["certificate_sha256"]),
        ({"state": "installed", "lease_seconds": 60} | SHA256, ["lease_seconds"]),
        *(({"state": "installed", "certificate_sha256": bad}, ["certificate_sha256"])
          for bad in ("0" * 63, "g" * 64, "", ":".join(["00"] * 31), 1, None)),
        ({"state": "removed"} | SHA256, ["certificate_sha256"]),
        ({"state": "removed", "detail": "x"}, ["detail"]),
        ({"state": "failed"} | SHA256, ["certificate_sha256"]),
        *(({"state": "failed", "code": bad}, ["code"]) for bad in ("", "A", "a b", "x" * 41, "x\n", 1, None)),
        *(({"state": "failed", "detail": bad}, ["detail"]) for bad in ("", "x" * 1001, "a\x00b", 1, None)),
        ({"state": "removed", "surprise": 1}, ["surprise"]),
        ({"state": "removed", "lease": ""}, ["lease"]),
        ({"state": "removed", "lease": 1}, ["lease"]),
    ],
)  # fmt: skip
def test_a_report_that_is_not_of_the_contract_is_refused(
    refused: ApiCaller, members: dict[str, Any], where: list[str]
) -> None:
    answer = refused.post(f"{PATH}/1/report", json={"lease": "a lease"} | members)

    assert code_of(answer) == (400, "malformed_request")
    assert sorted(fault["where"] for fault in (answer.json or {})["errors"]) == where


@pytest.mark.parametrize(
    "body", [{}, {"lease": ""}, {"lease": None}, {"lease": "x" * 65}, {"lease": "x", "y": 1}]
)
def test_a_profile_is_given_for_a_lease_alone(refused: ApiCaller, body: dict[str, Any]) -> None:
    assert code_of(refused.post(f"{PATH}/1/profile", json=body)) == (400, "malformed_request")


@pytest.mark.parametrize("number", ["0", "-1", "01", "x", "9" * 40, "%00", "%ff", "%D9%A1", "1%20"])
def test_an_id_that_is_none_answers_like_one_that_is_unknown(refused: ApiCaller, number: str) -> None:
    for method, rest, body in (
        ("GET", "", None),
        ("POST", "/profile", {"lease": "x"}),
        ("POST", "/report", {"lease": "x", "state": "delivered"}),
        ("POST", "/retry", None),
    ):
        answer = refused.open(method, f"{PATH}/{number}{rest}", json=body)
        unknown = refused.open(method, f"{PATH}/123456{rest}", json=body)

        assert answer.status_code == 404
        assert (answer.json or {}) | {"instance": ""} == (unknown.json or {}) | {"instance": ""}


def test_the_path_of_leases_is_no_deployment(refused: ApiCaller) -> None:
    answer = refused.get(f"{PATH}/lease")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


# --- lists ---


def test_deployments_are_listed_by_what_is_asked_for_and_counted_whatever_their_state(
    caller: ApiCaller, worker: Worker
) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND]))
    first = created(caller)
    created(caller, name="other", identities=[SECOND])
    lease(caller, max=1)

    def found(query: str) -> tuple[list[str], dict[str, int]]:
        answer = caller.get(f"{PATH}?{query}")
        assert answer.json is not None
        return [each["identity"] for each in answer.json["items"]], answer.json["counts"]

    everything = {"leased": 1, "pending": 2}
    assert found("") == ([FIRST, SECOND, SECOND], everything)
    assert found("state=leased") == ([FIRST], everything)
    assert found("state=installed") == ([], everything)
    assert found(f"policy_id={first['id']}") == ([FIRST, SECOND], {"leased": 1, "pending": 1})
    assert found(f"identity={SECOND}&state=leased") == ([], {"pending": 2})
    assert found(f"identity_type=SERIAL_NUMBER&identity={SECOND.lower()}") == ([SECOND] * 2, {"pending": 2})
    assert found("identity_type=IMEI") == ([], {})
    assert found("policy_id=123456") == ([], {})


def test_deployments_are_listed_in_pages(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND, THIRD]))
    created(caller)
    first = caller.get(f"{PATH}?limit=2").json or {}
    rest = caller.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json or {}

    assert [each["identity"] for each in first["items"] + rest["items"]] == [FIRST, SECOND, THIRD]
    assert rest["next_cursor"] is None
    assert first["counts"] == rest["counts"] == {"pending": 3}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=gone", (400, "malformed_request")),
        ("policy_id=x", (400, "malformed_request")),
        ("policy_id=0", (400, "malformed_request")),
        ("surprise=1", (400, "malformed_request")),
        ("cursor=x", (400, "malformed_request")),
        ("identity_type=UDID", (422, "unknown_identity_type")),
        ("identity_type=IMEI&identity=1", (422, "invalid_identity")),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    refused: ApiCaller, query: str, expected: tuple[int, str]
) -> None:
    assert code_of(refused.get(f"{PATH}?{query}")) == expected


# --- who may ---


def test_the_role_deployer_carries_what_it_leased_and_reads_no_certificate(
    service: Service, caller: ApiCaller, worker: Worker
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    created(caller)
    certificate = f"/api/v1/certificates/{listed(caller)[0]['id']}"
    deployer = an_api_caller(service, SCOPES_OF[Role.DEPLOYER])
    [item] = lease(deployer)

    assert profile(deployer, item).status_code == 200
    assert deployer.get(certificate).status_code == 403
    assert deployer.post(f"{certificate}/release", json={"format": "pem"}).status_code == 403


@pytest.mark.parametrize("missing", [Scope.DEPLOYMENTS_WRITE, Scope.KEYS_RELEASE])
def test_a_profile_needs_both_scopes(service: Service, item: dict[str, Any], missing: Scope) -> None:
    app = an_app(service)
    weaker = ApiCaller(a_client(app), a_token(app, service, set(Scope) - {missing}))

    assert profile(weaker, item).status_code == 403
    assert events(service, EventType.KEY_RELEASED) == []


# --- deletions ---


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"superseded": 1}),
        ({"remove_from_devices": False}, {"superseded": 1}),
        ({"remove_from_devices": True}, {"removing": 1}),
        ({"remove_from_devices": True, "validate_only": True}, {"leased": 1}),
    ],
)
def test_a_deletion_takes_profiles_off_where_that_is_asked_for(
    caller: ApiCaller, item: dict[str, Any], members: dict[str, bool], expected: dict[str, int]
) -> None:
    assert delete(caller, FIRST, **members).status_code in {200, 201}

    assert states(caller) == expected


@pytest.mark.parametrize(("written", "expected"), [("true", "removing"), ("false", "superseded")])
def test_a_form_can_ask_for_it_too(
    caller: ApiCaller, item: dict[str, Any], written: str, expected: str
) -> None:
    assert delete_listed(caller, FIRST.encode(), remove_from_devices=written).status_code == 201

    assert states(caller) == {expected: 1}


@pytest.mark.parametrize("bad", ["true", 1, None])
def test_a_word_for_it_that_is_no_boolean_is_refused(refused: ApiCaller, bad: object) -> None:
    assert code_of(delete(refused, FIRST, remove_from_devices=bad)) == (400, "malformed_request")


@pytest.mark.parametrize("state", ["delivered", "installed"])
def test_who_may_not_release_cannot_say_that_a_device_has_what_it_never_got(
    caller: ApiCaller, item: dict[str, Any], state: str
) -> None:
    give_back = report(caller, item, "failed")
    caller.post(f"{PATH}/{item['deployment']['id']}/retry")
    assert give_back.status_code == 200
    liar = client_of(caller, ["deployments:write", "deployments:read"])
    [taken] = lease(liar)
    shown = {"certificate_sha256": listed(caller)[0]["fingerprint_sha256"]} if state == "installed" else {}

    assert code_of(report(liar, taken, state, **shown)) == (403, "insufficient_scope")
    assert states(caller) == {"leased": 1}


@pytest.mark.parametrize("state", ["delivered", "installed"])
def test_nobody_says_that_a_device_has_what_never_left(
    caller: ApiCaller, item: dict[str, Any], state: str
) -> None:
    shown = {"certificate_sha256": listed(caller)[0]["fingerprint_sha256"]} if state == "installed" else {}

    assert code_of(report(caller, item, state, **shown)) == (409, "not_released")
    assert profile(caller, item).status_code == 200
    assert report(caller, item, state, **shown).status_code == 200
