"""Imports over HTTP: bundles in, counts and items out."""

import io
import json
import threading
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from bulkcert.values.limits import Limits
from bulkcert.values.principals import Role
from bulkcert.values.secret import Secret
from bulkcert.vault.spool import Spool
from bulkcert.wiring.service import Service
from bulkcert.wiring.work import make_work
from tests.api.conftest import PASSWORD, ApiCaller, NewService, Worker, a_client, a_token, a_worker, an_app
from tests.builders import a_bundle, a_pkcs12, a_zip

FIRST, SECOND, THIRD = "A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH"


def a_form(bundle: bytes, **fields: str) -> dict[str, Any]:
    return {"bundle": (io.BytesIO(bundle), "bundle.zip"), "identity_type": "SERIAL_NUMBER"} | fields


def upload(
    caller: ApiCaller, bundle: bytes, headers: dict[str, str] | None = None, **fields: str
) -> TestResponse:
    return caller.post("/api/v1/imports", data=a_form(bundle, **fields), headers=headers)


def upload_raw(caller: ApiCaller, bundle: bytes, **parameters: str) -> TestResponse:
    query = {"identity_type": "SERIAL_NUMBER"} | parameters
    return caller.post("/api/v1/imports", data=bundle, content_type="application/zip", query_string=query)


def items_of(caller: ApiCaller, location: str, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(f"{location}/items{query}")
    assert answer.json is not None
    return list(answer.json["items"])


def imported(caller: ApiCaller, worker: Worker, bundle: bytes, **fields: str) -> dict[str, Any]:
    accepted = upload(caller, bundle, **fields)
    assert accepted.status_code == 202
    worker.work()
    answer = caller.get(accepted.headers["Location"])
    assert answer.json is not None
    return dict(answer.json)


def counts(**differing: int) -> dict[str, int]:
    names = ("total", "done", "created", "replaced", "unchanged", "failed", "ignored")
    return dict.fromkeys(names, 0) | differing


def test_an_upload_is_accepted_at_once_and_done_by_a_worker(caller: ApiCaller, worker: Worker) -> None:
    accepted = upload(caller, a_bundle([FIRST, SECOND]))

    assert accepted.status_code == 202
    assert accepted.json is not None
    assert accepted.headers["Location"] == f"/api/v1/imports/{accepted.json['id']}"
    assert accepted.json["state"] == "pending"
    assert accepted.json["counts"] == counts(total=2)
    assert accepted.json["on_conflict"] == "replace"
    assert accepted.json["requested_by"] == "administrator"
    assert accepted.json["started_at"] is accepted.json["finished_at"] is None

    worker.work()

    done = caller.get(accepted.headers["Location"]).json
    assert done is not None
    assert done["state"] == "succeeded"
    assert done["counts"] == counts(total=2, done=2, created=2)
    assert done["finished_at"] is not None


def test_an_upload_that_is_done_within_the_wait_is_created(
    app: Flask, caller: ApiCaller, worker: Worker
) -> None:
    with worker.working():
        answer = upload(caller, a_bundle([FIRST]), {"Prefer": "wait=60"})

    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["state"] == "succeeded"
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert "Retry-After" not in answer.headers


def test_an_upload_whose_items_have_all_failed_already_needs_no_worker(caller: ApiCaller) -> None:
    bundle = a_zip({f"{FIRST}.p12": b"x", "credential.txt": f"{SECOND}.p12=x\n".encode()})
    answer = upload(caller, bundle)

    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["state"] == "failed"
    assert answer.json["counts"] == counts(total=2, done=2, failed=2)


def test_each_device_has_an_item_with_its_outcome(caller: ApiCaller, worker: Worker) -> None:
    bundle = a_bundle(
        [FIRST, SECOND, THIRD],
        files={SECOND: a_pkcs12(SECOND, "another"), THIRD: b"not a PKCS#12"},
        extra={"__MACOSX/x": b"", "short.p12": b""},
    )
    done = imported(caller, worker, bundle)

    assert done["state"] == "partially_succeeded"
    assert done["counts"] == counts(total=5, done=4, created=1, failed=3, ignored=1)
    found = {item["identity"]: item for item in items_of(caller, f"/api/v1/imports/{done['id']}")}
    assert [found[name]["outcome"] for name in (FIRST, SECOND, THIRD)] == ["created", "failed", "failed"]
    assert [found[name]["code"] for name in (SECOND, THIRD)] == ["wrong_password", "not_pkcs12"]
    assert [found[name]["found"] for name in (FIRST, SECOND, THIRD)] == [None, None, "text"]
    assert found[FIRST]["file"] == f"{FIRST}.p12"
    assert found[FIRST]["code"] is found[FIRST]["detail"] is None
    certificate = caller.get(f"/api/v1/certificates/{found[FIRST]['certificate_id']}").json
    assert certificate is not None
    assert certificate["fingerprint_sha256"] == found[FIRST]["fingerprint_sha256"]


@pytest.mark.parametrize(
    ("content", "found", "says"),
    [
        (a_pkcs12(), "pkcs12", "one bare PKCS#12"),
        (b"<!DOCTYPE html><html>", "html", "log in"),
        (b"\x1f\x8b\x08" + bytes(30), "archive", "gzip"),
        (b"no zip", "text", "text"),
    ],
)
def test_what_was_sent_in_place_of_a_zip_is_named(
    caller: ApiCaller, content: bytes, found: str, says: str
) -> None:
    problem = upload(caller, content).json

    assert problem is not None
    assert (problem["code"], problem["found"]) == ("not_a_zip", found)
    assert says in problem["detail"]


def test_items_are_null_until_their_turn_has_come(caller: ApiCaller) -> None:
    accepted = upload(caller, a_bundle([FIRST]))
    [item] = items_of(caller, accepted.headers["Location"])

    assert item == {
        "position": item["position"],
        "file": f"{FIRST}.p12",
        "identity": FIRST,
        "outcome": None,
        "code": None,
        "detail": None,
        "found": None,
        "warnings": [],
        "certificate_id": None,
        "fingerprint_sha256": None,
    }


def test_warnings_stand_with_the_item(caller: ApiCaller, worker: Worker) -> None:
    done = imported(caller, worker, a_bundle([FIRST], files={FIRST: a_pkcs12(SECOND)}))
    [item] = items_of(caller, f"/api/v1/imports/{done['id']}")

    assert item["outcome"] == "created"
    assert item["warnings"] == ["identity_not_in_certificate"]


def test_the_same_bundle_again_changes_nothing(caller: ApiCaller, worker: Worker) -> None:
    bundle = a_bundle([FIRST, SECOND])
    imported(caller, worker, bundle)
    again = imported(caller, worker, bundle)

    assert again["state"] == "succeeded"
    assert again["counts"] == counts(total=2, done=2, unchanged=2)


@pytest.mark.parametrize(
    ("on_conflict", "outcome"), [("replace", "replaced"), ("keep", "unchanged"), (None, "replaced")]
)
def test_on_conflict_says_what_becomes_of_another_certificate(
    caller: ApiCaller, worker: Worker, on_conflict: str | None, outcome: str
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    fields = {} if on_conflict is None else {"on_conflict": on_conflict}
    done = imported(caller, worker, a_bundle([FIRST]), **fields)

    assert done["counts"] == counts(total=1, done=1, **{outcome: 1})


def test_a_raw_body_is_read_like_a_form(caller: ApiCaller, worker: Worker) -> None:
    accepted = upload_raw(
        caller,
        a_bundle([FIRST]),
        credentials_file="credential.txt",
        on_conflict="keep",
        validate_only="false",
    )

    assert accepted.status_code == 202
    assert accepted.json is not None
    assert accepted.json["on_conflict"] == "keep"


@pytest.mark.parametrize("path", ["/api/v1/imports/raw", "/api/v1/imports"])
@pytest.mark.parametrize(
    "content_type",
    ["application/zip", "application/octet-stream", "application/x-zip-compressed", "APPLICATION/X-ZIP; a=b"],
)
def test_a_raw_body_is_taken_under_every_name_that_clients_give_a_zip(
    caller: ApiCaller, worker: Worker, path: str, content_type: str
) -> None:
    query = {"identity_type": "SERIAL_NUMBER", "validate_only": "true"}
    answer = caller.post(path, data=a_bundle([FIRST]), content_type=content_type, query_string=query)

    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["validate_only"] is True
    assert caller.get(answer.headers["Location"]).status_code == 200


def test_the_path_for_raw_bodies_takes_no_form_and_is_no_import(caller: ApiCaller) -> None:
    form = caller.post("/api/v1/imports/raw?identity_type=SERIAL_NUMBER", data=a_form(a_bundle([FIRST])))

    assert form.status_code == 415
    assert caller.get("/api/v1/imports/raw").status_code == 405
    assert caller.post("/api/v1/imports/raw", data=b"PK", content_type="application/zip").status_code == 400


def test_a_chunked_body_is_read_to_its_end(caller: ApiCaller, worker: Worker) -> None:
    answer = caller.post(
        "/api/v1/imports?identity_type=SERIAL_NUMBER",
        headers={"Content-Type": "application/zip", "Transfer-Encoding": "chunked"},
        environ_overrides={
            "wsgi.input": io.BytesIO(a_bundle([FIRST])), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""
        },
    )  # fmt: skip

    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["counts"] == counts(total=1)


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"credentials_file": "passwords.txt"}, 202), ({}, 422), ({"credentials_file": "none.txt"}, 422)],
)
def test_the_credentials_file_is_named_where_it_is_not_the_only_text(
    caller: ApiCaller, fields: dict[str, str], status: int
) -> None:
    bundle = a_bundle([FIRST], credentials_file="passwords.txt", extra={"readme.txt": b"hello"})

    assert upload(caller, bundle, **fields).status_code == status


PREFERENCES = [
    (None, 7, None),
    ("respond-async", 0, "respond-async"),
    ("wait=3", 3, "wait=3"),
    ("wait=0", 0, "wait=0"),
    ("wait=1000000", 60, "wait=60"),
    ("wait=99999999999999999999999", 7, None),
    ("respond-async, wait=4", 4, "respond-async, wait=4"),
    ("wait=4, respond-async", 4, "respond-async, wait=4"),
    ("wait=2, wait=5", 2, "wait=2"),
    ('wait="2"', 2, "wait=2"),
    ("WAIT = 2", 2, "wait=2"),
    ("wait=2;foo=bar", 2, "wait=2"),
    ("wait=-1", 7, None),
    ("wait=1.5", 7, None),
    ("wait", 7, None),
    ("return=minimal", 7, None),
    ("", 7, None),
    (",,;=", 7, None),
]


@pytest.mark.parametrize(("prefer", "seconds", "applied"), PREFERENCES)
def test_prefer_says_how_long_to_wait(
    new_service: NewService,
    monkeypatch: pytest.MonkeyPatch,
    prefer: str | None,
    seconds: float,
    applied: str | None,
) -> None:
    waited: list[float] = []
    service = new_service(default_wait_seconds=7, longest_wait_seconds=60)
    wait = service.intake.wait
    monkeypatch.setattr(
        service.intake, "wait", lambda request_id, time: (waited.append(time), wait(request_id, 0))[1]
    )
    app = an_app(service)
    caller = ApiCaller(a_client(app), a_token(app, service))
    answer = upload(caller, a_bundle([FIRST]), {} if prefer is None else {"Prefer": prefer})

    assert answer.status_code == 202
    assert waited == ([seconds] if seconds else [])
    assert answer.headers.get("Preference-Applied") == applied


def test_beyond_the_seats_a_request_is_answered_at_once(
    new_service: NewService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = new_service(limits=Limits(waiting_requests=1), default_wait_seconds=60)
    waiting, go_on = threading.Event(), threading.Event()
    wait = service.intake.wait

    def wait_for_the_test(request_id: str, _seconds: float) -> Any:
        waiting.set()
        assert go_on.wait(60)
        return wait(request_id, 0)

    monkeypatch.setattr(service.intake, "wait", wait_for_the_test)
    app = an_app(service)
    token = a_token(app, service)
    first: list[TestResponse] = []
    thread = threading.Thread(
        target=lambda: first.append(upload(ApiCaller(a_client(app), token), a_bundle([FIRST])))
    )
    thread.start()
    assert waiting.wait(60)
    second = upload(ApiCaller(a_client(app), token), a_bundle([SECOND]))
    go_on.set()
    thread.join()

    assert second.status_code == 202
    assert [answer.status_code for answer in first] == [202]
    waiting.clear()
    upload(ApiCaller(a_client(app), token), a_bundle([THIRD]))
    assert waiting.is_set()  # the seat is free again


def assert_nothing_was_kept(caller: ApiCaller, answer: TestResponse, status: int, code: str) -> None:
    assert answer.json is not None
    assert (answer.status_code, answer.json.get("code")) == (status, code), answer.json
    listed = caller.get("/api/v1/imports").json
    assert listed == {"items": [], "next_cursor": None}


A_FILE = (io.BytesIO, b"hello", "x.zip")
FORMS: list[tuple[str, dict[str, Any], int, str, list[str]]] = [
    (
        "validate_only of another spelling",
        {"validate_only": "True"},
        400,
        "malformed_request",
        ["validate_only"],
    ),
    ("no identity type", {"identity_type": None}, 400, "malformed_request", ["identity_type"]),
    ("unknown identity type", {"identity_type": "UDID"}, 422, "unknown_identity_type", []),
    ("identity type in lower case", {"identity_type": "imei"}, 422, "unknown_identity_type", []),
    ("unknown field", {"surprise": "1"}, 400, "malformed_request", ["surprise"]),
    ("two unknown fields", {"one": "1", "two": "2"}, 400, "malformed_request", ["one", "two"]),
    ("unknown conflict rule", {"on_conflict": "merge"}, 400, "malformed_request", ["on_conflict"]),
    ("empty credentials file", {"credentials_file": ""}, 400, "malformed_request", ["credentials_file"]),
    (
        "long credentials file",
        {"credentials_file": "x" * 256},
        400,
        "malformed_request",
        ["credentials_file"],
    ),
    ("field twice", {"identity_type": ["IMEI", "IMEI"]}, 400, "malformed_request", ["identity_type"]),
    ("no bundle", {"bundle": None}, 400, "malformed_request", ["bundle"]),
    ("bundle as text", {"bundle": "PK"}, 400, "malformed_request", ["bundle"]),
    ("two bundles", {"bundle": [A_FILE, A_FILE]}, 400, "malformed_request", ["bundle"]),
    ("unknown file", {"other": A_FILE}, 400, "malformed_request", ["other"]),
    ("identity type as a file", {"identity_type": A_FILE}, 422, "unknown_identity_type", []),
    ("text, no zip", {"bundle": A_FILE}, 422, "not_a_zip", []),
    ("empty file", {"bundle": (io.BytesIO, b"", "x.zip")}, 422, "not_a_zip", []),
    ("large field", {"credentials_file": "x" * 400_000}, 413, "bundle_too_large", []),
    ("many parts", {f"field{n}": "x" for n in range(30)}, 413, "bundle_too_large", []),
]


def fresh(value: Any) -> Any:
    """A file is read once: each use gets its own."""
    if isinstance(value, tuple):
        return (value[0](value[1]), value[2])
    return [fresh(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("changes", "status", "code", "where"), [case[1:] for case in FORMS], ids=[case[0] for case in FORMS]
)
def test_a_form_that_cannot_be_used_is_refused_whole(
    refused: ApiCaller, changes: dict[str, Any], status: int, code: str, where: list[str]
) -> None:
    form = a_form(a_bundle([FIRST])) | {name: fresh(value) for name, value in changes.items()}
    sent = {name: value for name, value in form.items() if value is not None}
    answer = refused.post("/api/v1/imports", data=sent, content_type="multipart/form-data")

    assert_nothing_was_kept(refused, answer, status, code)
    assert answer.json is not None
    assert sorted(error["where"] for error in answer.json.get("errors", [])) == where


QUERIES: list[tuple[str, int, str]] = [
    ("", 400, "malformed_request"),
    ("identity_type=", 422, "unknown_identity_type"),
    ("identity_type=UDID", 422, "unknown_identity_type"),
    ("identity_type=IMEI&identity_type=IMEI", 400, "malformed_request"),
    ("identity_type=IMEI&surprise=1", 400, "malformed_request"),
    ("identity_type=IMEI&validate_only=true", 422, "not_a_zip"),
    ("identity_type=IMEI&validate_only=true&validate_only=true", 400, "malformed_request"),
    ("identity_type=IMEI&validate_only=", 400, "malformed_request"),
    ("identity_type=IMEI&validate_only=1", 400, "malformed_request"),
    ("identity_type=IMEI&on_conflict=REPLACE", 400, "malformed_request"),
    ("identity_type=IMEI&credentials_file=%00", 400, "malformed_request"),
    ("identity_type=IMEI", 422, "not_a_zip"),
    ("identity_type=%ff", 422, "unknown_identity_type"),
]


@pytest.mark.parametrize(("query", "status", "code"), QUERIES)
def test_a_raw_body_with_unusable_parameters_is_refused(
    refused: ApiCaller, query: str, status: int, code: str
) -> None:
    answer = refused.post(f"/api/v1/imports?{query}", data=b"PK", content_type="application/zip")

    assert_nothing_was_kept(refused, answer, status, code)


def test_a_form_and_query_parameters_together_are_refused(refused: ApiCaller) -> None:
    answer = refused.post("/api/v1/imports?on_conflict=keep", data=a_form(a_bundle([FIRST])))

    assert_nothing_was_kept(refused, answer, 400, "malformed_request")


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x", "text/plain", "zip", "application/zip2"],
)  # fmt: skip
def test_a_body_of_another_type_is_not_read(refused: ApiCaller, content_type: str | None) -> None:
    body = io.BytesIO(a_bundle([FIRST]))
    answer = refused.post(
        "/api/v1/imports?identity_type=SERIAL_NUMBER", input_stream=body, content_type=content_type
    )

    assert_nothing_was_kept(refused, answer, 415, "unsupported_media_type")
    assert body.tell() == 0


def test_an_upload_over_the_limit_is_refused_before_it_is_read(new_service: NewService) -> None:
    service = new_service(limits=Limits(bundle_bytes=10_000))
    app = an_app(service)
    caller = ApiCaller(a_client(app), a_token(app, service))
    for content_type in ("application/zip", "multipart/form-data; boundary=x"):
        body = io.BytesIO(b"x" * 3_000_000)
        query = "?identity_type=IMEI" if content_type == "application/zip" else ""
        answer = caller.post(f"/api/v1/imports{query}", input_stream=body, content_type=content_type)

        assert_nothing_was_kept(caller, answer, 413, "bundle_too_large")
        assert body.tell() == 0


def test_an_upload_over_the_limit_without_a_length_is_not_read_to_its_end(new_service: NewService) -> None:
    service = new_service(limits=Limits(bundle_bytes=10_000))
    app = an_app(service)
    caller = ApiCaller(a_client(app), a_token(app, service))
    body = io.BytesIO(b"x" * 30_000_000)
    answer = caller.post(
        "/api/v1/imports?identity_type=IMEI",
        headers={"Content-Type": "application/zip", "Transfer-Encoding": "chunked", "Expect": "100-continue"},
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )

    assert_nothing_was_kept(caller, answer, 413, "bundle_too_large")
    assert body.tell() < 2_000_000


def test_a_body_that_ends_before_its_announced_length_is_refused(refused: ApiCaller) -> None:
    bundle = a_bundle([FIRST])
    for terminated in (True, False):
        overrides: dict[str, Any] = {"CONTENT_LENGTH": str(len(bundle) + 1)}
        if terminated:
            overrides["wsgi.input_terminated"] = True
        answer = refused.post(
            "/api/v1/imports?identity_type=SERIAL_NUMBER",
            data=bundle,
            content_type="application/zip",
            environ_overrides=overrides,
        )

        assert_nothing_was_kept(refused, answer, 400, "malformed_request")


def test_an_upload_never_lies_on_a_disk_in_clear_and_its_room_is_free_afterwards(
    caller: ApiCaller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Spool] = []
    new_spool = Service.new_spool

    def make(self: Service, owner: str) -> Spool:
        made.append(new_spool(self, owner))
        return made[-1]

    monkeypatch.setattr(Service, "new_spool", make)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", None)
    upload(caller, a_bundle([FIRST]))
    upload_raw(caller, a_bundle([FIRST]))
    upload(caller, b"no zip")
    upload(caller, a_bundle([FIRST]), surprise="1")

    assert len(made) == 4
    assert all(spool.closed for spool in made)


def test_a_full_disk_is_said_and_nothing_is_kept(refused: ApiCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Spool, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "write", write)
    for answer in (upload(refused, a_bundle([FIRST])), upload_raw(refused, a_bundle([FIRST]))):
        assert_nothing_was_kept(refused, answer, 507, "storage_full")


def test_imports_are_listed_newest_first_in_pages(caller: ApiCaller) -> None:
    ids = [upload(caller, a_bundle([name])).json["id"] for name in (FIRST, SECOND, THIRD)]  # type: ignore[index]
    first = caller.get("/api/v1/imports?limit=2").json
    assert first is not None
    second = caller.get(f"/api/v1/imports?limit=2&cursor={first['next_cursor']}").json
    assert second is not None

    assert [each["id"] for each in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_items_are_listed_in_pages_and_by_outcome(caller: ApiCaller, worker: Worker) -> None:
    done = imported(caller, worker, a_bundle([FIRST, SECOND, THIRD], files={SECOND: b"broken"}))
    location = f"/api/v1/imports/{done['id']}"

    assert [item["identity"] for item in items_of(caller, location, "?outcome=failed")] == [SECOND]
    assert [item["identity"] for item in items_of(caller, location, "?outcome=created")] == [FIRST, THIRD]
    assert items_of(caller, location, "?outcome=replaced") == []
    page = caller.get(f"{location}/items?limit=2").json
    assert page is not None
    rest = items_of(caller, location, f"?limit=2&cursor={page['next_cursor']}")
    assert [item["identity"] for item in page["items"] + rest] == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize(
    "query", ["outcome=deleted", "outcome=not_found", "outcome=", "outcome=Failed", "state=x"]
)
def test_an_outcome_that_no_import_has_is_refused(caller: ApiCaller, query: str) -> None:
    accepted = upload(caller, a_bundle([FIRST]))

    assert caller.get(f"{accepted.headers['Location']}/items?{query}").status_code == 400


def test_an_import_of_somebody_else_is_seen_by_those_who_may_read(
    app: Flask, client: Client, service: Service, caller: ApiCaller
) -> None:
    service.accounts.create_user("auditor", Role.AUDITOR, Secret(PASSWORD.encode()), "administrator")
    accepted = upload(caller, a_bundle([FIRST]))
    login = client.post("/api/v1/sessions", json={"login": "auditor", "password": PASSWORD})
    assert login.json is not None
    auditor = ApiCaller(client, login.json["access_token"])

    assert auditor.get(accepted.headers["Location"]).json == accepted.json
    assert upload(auditor, a_bundle([SECOND])).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/items"), ("GET", "/retry-list"), ("POST", "/cancel")]
)
@pytest.mark.parametrize(
    "import_id", ["1", "x" * 300, "%00", "%ff", "..", "01a20563-c954-7d8e-8fb1-13703d8da9e9", "é"]
)
def test_an_unknown_id_and_a_malformed_one_answer_alike(
    refused: ApiCaller, import_id: str, method: str, path: str
) -> None:
    answer = refused.open(method, f"/api/v1/imports/{import_id}{path}")

    assert answer.status_code == 404
    assert answer.json is not None
    expected = refused.open(method, f"/api/v1/imports/unknown{path}").json
    assert expected is not None
    assert answer.json | {"instance": ""} == expected | {"instance": ""}


def test_the_id_of_a_deletion_is_no_import(caller: ApiCaller) -> None:
    deletion = caller.post(
        "/api/v1/deletions", json={"identity_type": "SERIAL_NUMBER", "identities": [FIRST]}
    )
    assert deletion.json is not None

    assert caller.get(f"/api/v1/imports/{deletion.json['id']}").status_code == 404
    assert caller.get(f"/api/v1/imports/{deletion.json['id']}/items").status_code == 404


def test_no_answer_holds_a_password_or_a_key(caller: ApiCaller, worker: Worker) -> None:
    canary = "hunter2-canary"
    bundle = a_bundle([FIRST, SECOND], password=canary, files={SECOND: a_pkcs12(SECOND, "another")})
    done = imported(caller, worker, bundle)
    texts = [
        json.dumps(done),
        caller.get(f"/api/v1/imports/{done['id']}/items").text,
        caller.get("/api/v1/certificates").text,
    ]

    assert canary not in "".join(texts)
    assert "PRIVATE" not in "".join(texts)


@pytest.mark.slow
def test_the_shipped_wiring_of_a_worker_does_the_same(new_service: NewService) -> None:
    service = new_service()
    app = an_app(service)
    caller = ApiCaller(a_client(app), a_token(app, service))
    accepted = upload(caller, a_bundle([FIRST]))
    work = make_work(service.config)
    while work.work_once():
        pass
    work.close()

    answer = caller.get(accepted.headers["Location"]).json
    assert answer is not None
    assert answer["counts"] == counts(total=1, done=1, created=1)
    assert not a_worker(service).chunk_worker.work_once()
