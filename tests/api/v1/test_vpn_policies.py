"""VPN policies over HTTP: made, listed, replaced, deleted, and one device's profile by hand."""

import json
import plistlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import Client, TestResponse

from bulkcert.deployments.profiles.profile import ProfileMaker
from bulkcert.values.events import Event, EventType
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import SCOPES_OF, Role, Scope
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, Worker, a_token
from tests.api.v1.test_certificates import listed
from tests.api.v1.test_deletions import delete
from tests.api.v1.test_imports import FIRST, SECOND, imported
from tests.builders import a_bundle, a_certificate, a_pkcs12, an_ec_key
from tests.values.policies.policy_documents import ROOT_PEM, a_document, a_tunnel, changed

PATH = "/api/v1/vpn-policies"
PROFILE = "application/x-apple-aspen-config"
FITTING = a_document(tunnels=[a_tunnel(local_identifier="{common_name}")])
"""A policy that certificates of the tests fit."""


def created(caller: ApiCaller, document: dict[str, Any] = FITTING, **members: Any) -> dict[str, Any]:
    answer = caller.post(PATH, json=document | members)
    assert answer.status_code == 201, answer.text
    return dict(answer.json or {})


def put(caller: ApiCaller, policy_id: str, document: dict[str, Any], query: str = "") -> TestResponse:
    return caller.open("PUT", f"{PATH}/{policy_id}{query}", json=document)


def events(service: Service, *types: EventType) -> list[Event]:
    with service.store.reading() as tx:
        return [event for event in tx.events.list() if event.type in types]


def states(caller: ApiCaller) -> dict[str, int]:
    answer = caller.get("/api/v1/deployments")
    assert answer.json is not None
    return dict(answer.json["counts"])


def test_a_policy_is_kept_with_every_member_and_shown_again(caller: ApiCaller) -> None:
    document = a_document(
        "ALWAYS_ON_IKEV2_DUAL", trusted_roots=[ROOT_PEM], identities=[SECOND.lower(), FIRST]
    )
    answer = caller.post(PATH, json=document)

    assert answer.status_code == 201
    assert answer.json is not None
    made = dict(answer.json)
    assert answer.headers["Location"] == f"{PATH}/{made['id']}"
    assert (made["version"], made["created_by"]) == (1, "administrator")
    assert made["created_at"] == made["updated_at"]
    assert made["policy"] == VpnPolicy.from_document(document).document()
    assert made["policy"]["identities"] == [FIRST, SECOND]
    assert made["policy"]["tunnels"][0]["ike_security_association"]["diffie_hellman_group"] == 14
    assert caller.get(answer.headers["Location"]).json == made | {"deployments": {}}
    assert caller.post(PATH, json=made["policy"] | {"name": "the same once more"}).status_code == 201


def test_policies_are_listed_in_pages(caller: ApiCaller) -> None:
    made = [created(caller, name=f"policy {number}") for number in range(3)]
    first = caller.get(f"{PATH}?limit=2").json
    assert first is not None
    rest = caller.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json

    assert first["items"] == made[:2]
    assert rest == {"items": made[2:], "next_cursor": None}


def test_a_policy_wants_what_is_there_and_counts_it(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND]))
    made = created(caller)
    shown = caller.get(f"{PATH}/{made['id']}").json

    assert shown is not None
    assert shown["deployments"] == {"pending": 2}


def test_a_replaced_policy_is_of_the_next_version(
    caller: ApiCaller, worker: Worker, service: Service
) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND]))
    made = created(caller)
    answer = put(caller, made["id"], FITTING | {"name": "Narrowed", "identities": [FIRST]})

    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["id"], answer.json["version"]) == (made["id"], 2)
    assert answer.json["policy"]["name"] == "Narrowed"
    assert states(caller) == {"pending": 1, "superseded": 1}
    [event] = events(service, EventType.POLICY_REPLACED)
    assert (event.actor, event.facts["version"]) == ("administrator", 2)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"superseded": 1}),
        ("?remove_profiles=false", {"superseded": 1}),
        ("?remove_profiles=true", {"removing": 1}),
    ],
)
@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
def test_profiles_are_taken_off_where_that_is_asked_for(
    caller: ApiCaller, worker: Worker, verb: str, query: str, expected: dict[str, int]
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    made = created(caller)
    assert caller.post("/api/v1/deployments/lease", json={}).status_code == 200
    if verb == "PUT":
        assert put(caller, made["id"], FITTING | {"identities": [SECOND]}, query).status_code == 200
    else:
        answer = caller.open("DELETE", f"{PATH}/{made['id']}{query}")
        assert (answer.status_code, answer.data) == (204, b"")

    assert states(caller) == expected


def test_a_deleted_policy_is_gone_and_its_name_is_free(caller: ApiCaller) -> None:
    made = created(caller)
    assert caller.open("DELETE", f"{PATH}/{made['id']}").status_code == 204

    for answer in (
        caller.get(f"{PATH}/{made['id']}"),
        caller.open("DELETE", f"{PATH}/{made['id']}"),
        put(caller, made["id"], FITTING),
    ):
        assert answer.status_code == 404
    assert caller.get(PATH).json == {"items": [], "next_cursor": None}
    assert created(caller)["id"] != made["id"]


def test_a_name_belongs_to_one_policy(caller: ApiCaller) -> None:
    created(caller)
    other = created(caller, name="other")

    for answer in (caller.post(PATH, json=FITTING), put(caller, other["id"], FITTING)):
        assert answer.json is not None
        assert (answer.status_code, answer.json["code"]) == (409, "already_exists")
    assert put(caller, other["id"], FITTING | {"name": "other", "ui_toggle": True}).status_code == 200


def test_every_fault_of_a_policy_is_told_with_its_place(refused: ApiCaller) -> None:
    document = changed(FITTING, "tunnels/0/mtu", 9000)
    document = changed(document, "tunnels/0/ike_security_association/diffie_hellman_group", 2)
    document = changed(document, "surprise", "hunter2-canary")
    answer = refused.post(PATH, json=document)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_policy")
    assert [fault["where"] for fault in answer.json["errors"]] == [
        "surprise",
        "tunnels/0/ike_security_association/diffie_hellman_group",
        "tunnels/0/mtu",
    ]
    assert "14 or higher" in answer.json["errors"][1]["detail"]
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", "application/json", 400, "malformed_request"),
        (b"[]", "application/json", 400, "malformed_request"),
        (b'{"name": 1, "name": 2}', "application/json", 400, "malformed_request"),
        (b'{"name": NaN}', "application/json", 400, "malformed_request"),
        (b"[" * 100_000, "application/json", 400, "malformed_request"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "application/json", 422, "invalid_policy"),
        (b'{"tunnels": [{"dns": {"a": [' + b"[" * 500 + b"]" * 500 + b"]}}]}", "application/json", 422, "invalid_policy"),
        (b'{"name": "' + b"x" * 1024**2 + b'"}', "application/json", 413, "bundle_too_large"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_policy_is_refused(
    refused: ApiCaller, body: bytes, content_type: str, status: int, code: str
) -> None:
    for method, path in (("POST", PATH), ("PUT", f"{PATH}/1")):
        answer = refused.open(method, path, data=body, content_type=content_type)

        assert answer.json is not None
        assert (answer.status_code, answer.json["code"]) == (status, code)


def test_a_policy_of_ten_thousand_devices_and_twenty_roots_fits(caller: ApiCaller) -> None:
    names = [f"SERIAL{number:014}" for number in range(10_000)]
    document = FITTING | {"identities": names, "trusted_roots": [ROOT_PEM] * 20}

    assert len(created(caller, document)["policy"]["identities"]) == 10_000


@pytest.mark.parametrize("policy_id", ["0", "-1", "01", "x", "9" * 40, "%00", "%ff", "%D9%A1", "1%20"])
def test_an_id_that_is_none_answers_like_one_that_is_unknown(refused: ApiCaller, policy_id: str) -> None:
    for method, rest, body in (
        ("GET", "", None),
        ("PUT", "", FITTING),
        ("DELETE", "", None),
        ("POST", "/profile", {"certificate_id": "1"}),
    ):
        answer = refused.open(method, f"{PATH}/{policy_id}{rest}", json=body)
        unknown = refused.open(method, f"{PATH}/123456{rest}", json=body)

        assert answer.status_code == 404
        assert (answer.json or {}) | {"instance": ""} == (unknown.json or {}) | {"instance": ""}


@pytest.mark.parametrize(
    "query", ["remove_profiles=1", "remove_profiles=TRUE", "remove_profiles=", "remove=true"]
)
def test_a_query_that_is_not_of_the_contract_is_refused(refused: ApiCaller, query: str) -> None:
    assert refused.open("DELETE", f"{PATH}/1?{query}").status_code == 400
    assert put(refused, "1", FITTING, f"?{query}").status_code == 400


# --- one device's profile, by hand ---


def exported(caller: ApiCaller, policy_id: str, certificate_id: str) -> TestResponse:
    return caller.post(f"{PATH}/{policy_id}/profile", json={"certificate_id": certificate_id})


def test_a_profile_is_made_for_one_device_outside_of_any_lease(
    caller: ApiCaller, worker: Worker, service: Service
) -> None:
    key = an_ec_key()
    imported(caller, worker, a_bundle([FIRST], files={FIRST: a_pkcs12(FIRST, key=key)}))
    [certificate] = listed(caller)
    made = created(caller)
    with capture_logs() as log:
        answer = exported(caller, made["id"], certificate["id"])

    assert (answer.status_code, answer.mimetype) == (200, PROFILE)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Certificate-Sha256"] == certificate["fingerprint_sha256"]
    profile = plistlib.loads(answer.data)
    [identity] = [
        each for each in profile["PayloadContent"] if each["PayloadType"] == "com.apple.security.pkcs12"
    ]
    found, _, others = pkcs12.load_key_and_certificates(
        identity["PayloadContent"], identity["Password"].encode()
    )
    assert found.private_numbers() == key.private_numbers()  # type: ignore[union-attr]
    assert others == []
    [event] = events(service, EventType.KEY_RELEASED)
    assert event.actor == "administrator"
    assert event.facts == {
        "policy_id": int(made["id"]),
        "identity_type": "SERIAL_NUMBER",
        "identity": FIRST,
        "certificate_id": int(certificate["id"]),
        "fingerprint_sha256": certificate["fingerprint_sha256"],
        "format": "profile",
    }
    assert states(caller) == {"pending": 1}
    assert identity["Password"] not in json.dumps(log) + repr(event)


def test_each_export_has_a_password_of_its_own(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    [certificate] = listed(caller)
    made = created(caller)

    assert len({exported(caller, made["id"], certificate["id"]).data for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"identity_type": "IMEI"}, "not_served"),
        ({"identities": [SECOND]}, "not_served"),
        ({"issuer": "another CA"}, "not_served"),
        ({"tunnels": [a_tunnel(local_identifier="{san_email}")]}, "field_not_in_certificate"),
        ({"tunnels": [a_tunnel(local_identifier="someone")]}, "local_identifier_not_in_certificate"),
    ],
)
def test_a_certificate_that_does_not_fit_says_why_and_is_not_released(
    caller: ApiCaller, worker: Worker, service: Service, changes: dict[str, Any], code: str
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    [certificate] = listed(caller)
    answer = exported(caller, created(caller, **changes)["id"], certificate["id"])

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert events(service, EventType.KEY_RELEASED) == []


def test_a_certificate_that_allows_no_clients_has_no_profile(caller: ApiCaller, worker: Worker) -> None:
    key = an_ec_key()
    unfit = a_pkcs12(key=key, certificate=a_certificate(key, FIRST, client_auth=False))
    imported(caller, worker, a_bundle([FIRST], files={FIRST: unfit}))
    answer = exported(caller, created(caller)["id"], listed(caller)[0]["id"])

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (422, "usage_not_client_auth")


def test_a_superseded_certificate_is_exported_and_a_deleted_one_is_not_there(
    caller: ApiCaller, worker: Worker
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    imported(caller, worker, a_bundle([FIRST]))
    made, [old, _] = created(caller), listed(caller)

    assert exported(caller, made["id"], old["id"]).status_code == 200
    delete(caller, FIRST)
    assert exported(caller, made["id"], old["id"]).status_code == 404
    assert exported(caller, made["id"], "123456").status_code == 404


def test_a_deletion_that_comes_between_wins(
    caller: ApiCaller, worker: Worker, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    made, [certificate] = created(caller), listed(caller)
    make = ProfileMaker.make

    def delete_meanwhile(*arguments: Any) -> Secret:
        delete(caller, FIRST)
        return make(*arguments)

    monkeypatch.setattr(ProfileMaker, "make", delete_meanwhile)
    assert exported(caller, made["id"], certificate["id"]).status_code == 404
    assert events(service, EventType.KEY_RELEASED) == []


def test_nothing_leaves_where_the_event_cannot_be_written(
    caller: ApiCaller, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    made, [certificate] = created(caller), listed(caller)

    def refuse(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr("bulkcert.store.events.Events.append", refuse)
    answer = exported(caller, made["id"], certificate["id"])
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")


@pytest.mark.parametrize(
    "order",
    [{}, *({"certificate_id": bad} for bad in (1, None, "", "0", "01", "x", "1\n", "9" * 19)), {"certificate_id": "1", "x": 1}],
)  # fmt: skip
def test_an_order_that_names_no_certificate_is_refused(refused: ApiCaller, order: dict[str, Any]) -> None:
    assert refused.post(f"{PATH}/1/profile", json=order).status_code == 400


def test_a_profile_is_not_written_as_json(refused: ApiCaller) -> None:
    headers = {"Accept": "application/json"}
    answer = refused.post(f"{PATH}/1/profile", json={"certificate_id": "1"}, headers=headers)

    assert answer.status_code == 406


@pytest.mark.parametrize(
    "scopes",
    [set(Scope) - {Scope.KEYS_RELEASE}, set(Scope) - {Scope.CERTIFICATES_READ}, SCOPES_OF[Role.DEPLOYER]],
)
def test_an_export_needs_both_scopes(
    app: Flask, client: Client, service: Service, caller: ApiCaller, worker: Worker, scopes: set[Scope]
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    made, [certificate] = created(caller), listed(caller)
    weaker = ApiCaller(client, a_token(app, service, scopes))

    assert exported(weaker, made["id"], certificate["id"]).status_code == 403
    assert events(service, EventType.KEY_RELEASED) == []
