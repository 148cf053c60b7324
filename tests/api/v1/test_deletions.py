"""Deletions over HTTP: lists in, what became of each device out."""

import io
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bulkcert.values.limits import Limits
from tests.api.conftest import ApiCaller, NewService, Worker, a_client, a_token, an_app
from tests.api.v1.test_imports import FIRST, SECOND, THIRD, imported, items_of, upload
from tests.builders import a_bundle, a_zip


def delete(caller: ApiCaller, *identities: Any, **members: Any) -> TestResponse:
    body = {"identity_type": "SERIAL_NUMBER", "identities": list(identities)} | members
    return caller.post("/api/v1/deletions", json=body)


def delete_listed(caller: ApiCaller, file: bytes, name: str = "list.txt", **fields: str) -> TestResponse:
    form = {"identities": (io.BytesIO(file), name), "identity_type": "SERIAL_NUMBER"} | fields
    return caller.post("/api/v1/deletions", data=form)


def counts(**differing: int) -> dict[str, int]:
    names = ("total", "done", "deleted", "not_found", "failed", "ignored")
    return dict.fromkeys(names, 0) | differing


def current_identities(caller: ApiCaller) -> list[str]:
    answer = caller.get("/api/v1/certificates?state=current").json
    assert answer is not None
    return [certificate["identity"] for certificate in answer["items"]]


def test_everything_kept_for_the_devices_of_a_list_goes(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND, THIRD]))
    answer = delete(caller, FIRST.lower(), SECOND, "ZZZZZZZZ9999", "x", FIRST)

    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.headers["Location"] == f"/api/v1/deletions/{answer.json['id']}"
    assert answer.json["state"] == "partially_succeeded"
    assert answer.json["counts"] == counts(total=5, done=4, deleted=2, not_found=1, failed=1, ignored=1)
    assert caller.get(answer.headers["Location"]).json == answer.json
    items = items_of(caller, answer.headers["Location"])
    assert [(item["identity"], item["outcome"], item["code"]) for item in items] == [
        (FIRST, "deleted", None),
        (SECOND, "deleted", None),
        ("ZZZZZZZZ9999", "not_found", None),
        ("x", "failed", "invalid_identity"),
    ]
    assert current_identities(caller) == [THIRD]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("list.txt", lambda lines: lines),
        ("list.zip", lambda lines: a_zip({"list.txt": lines})),
        ("list.txt", lambda lines: lines.replace(b"\n", b"\r\n")),
    ],
)
def test_a_list_may_be_a_text_file_or_a_zip_that_holds_one(
    caller: ApiCaller, worker: Worker, name: str, make: Any
) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND]))
    answer = delete_listed(caller, make(f"{FIRST}\n{THIRD}\n".encode()), name)

    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["counts"] == counts(total=2, done=2, deleted=1, not_found=1)
    assert current_identities(caller) == [SECOND]


def test_a_deletion_wins_over_what_an_import_still_has_to_do(caller: ApiCaller, worker: Worker) -> None:
    accepted = upload(caller, a_bundle([FIRST, SECOND]))
    answer = delete(caller, FIRST)
    worker.work()

    assert answer.json is not None
    assert answer.json["counts"]["deleted"] == 1
    items = items_of(caller, accepted.headers["Location"])
    assert {item["identity"]: item["code"] for item in items} == {FIRST: "deleted_meanwhile", SECOND: None}
    assert current_identities(caller) == [SECOND]


BODIES: list[tuple[Any, int, str, list[str]]] = [
    ({"identity_type": "SERIAL_NUMBER"}, 400, "malformed_request", ["identities"]),
    ({"identities": [FIRST]}, 400, "malformed_request", ["identity_type"]),
    ({"identity_type": "UDID", "identities": [FIRST]}, 422, "unknown_identity_type", []),
    ({"identity_type": None, "identities": [FIRST]}, 400, "malformed_request", ["identity_type"]),
    ({"identity_type": 1, "identities": [FIRST]}, 400, "malformed_request", ["identity_type"]),
    ({"identity_type": "IMEI", "identities": []}, 422, "empty_list", []),
    ({"identity_type": "IMEI", "identities": FIRST}, 400, "malformed_request", ["identities"]),
    ({"identity_type": "IMEI", "identities": {FIRST: 1}}, 400, "malformed_request", ["identities"]),
    ({"identity_type": "IMEI", "identities": [1, None]}, 400, "malformed_request", ["identities[0]", "identities[1]"]),
    ({"identity_type": "IMEI", "identities": ["a\x00"]}, 400, "malformed_request", ["identities[0]"]),
    ({"identity_type": "IMEI", "identities": ["x" * 5000]}, 400, "malformed_request", ["identities[0]"]),
    ({"identity_type": "IMEI", "identities": [[]]}, 400, "malformed_request", ["identities[0]"]),
    ({"identity_type": "IMEI", "identities": [FIRST], "validate_only": "true"}, 400, "malformed_request", ["validate_only"]),
    ({"identity_type": "IMEI", "identities": [FIRST], "validate_only": 1}, 400, "malformed_request", ["validate_only"]),
    ({"identity_type": "IMEI", "identities": [FIRST], "validate_only": None}, 400, "malformed_request", ["validate_only"]),
    ({"identity_type": "IMEI", "identities": [], "validate_only": True}, 422, "empty_list", []),
    ({"identity_type": "IMEI", "identities": [FIRST], "validate_only": "false"}, 400, "malformed_request", ["validate_only"]),
    ({"identity_type": "IMEI", "identities": [FIRST], "validate_only": 0}, 400, "malformed_request", ["validate_only"]),
    ({"identity_type": "IMEI", "identities": [FIRST], "surprise": 1}, 400, "malformed_request", ["surprise"]),
    ([FIRST], 400, "malformed_request", []),
    ("x", 400, "malformed_request", []),
]  # fmt: skip


def assert_nothing_was_deleted(caller: ApiCaller, answer: TestResponse, status: int, code: str) -> None:
    assert answer.json is not None
    assert (answer.status_code, answer.json.get("code")) == (status, code), answer.json
    assert caller.get("/api/v1/deletions").json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(("body", "status", "code", "where"), BODIES)
def test_a_body_that_cannot_be_used_is_refused_whole(
    refused: ApiCaller, body: Any, status: int, code: str, where: list[str]
) -> None:
    answer = refused.post("/api/v1/deletions", json=body)

    assert_nothing_was_deleted(refused, answer, status, code)
    assert answer.json is not None
    assert [error["where"] for error in answer.json.get("errors", [])] == where


def test_validate_only_may_be_named(caller: ApiCaller) -> None:
    assert delete(caller, FIRST, validate_only=False).status_code == 201
    assert delete_listed(caller, FIRST.encode(), validate_only="false").status_code == 201


@pytest.mark.parametrize(
    ("file", "fields", "status", "code"),
    [
        (b"", {}, 422, "empty_list"),
        (b"\n \n", {}, 422, "empty_list"),
        (b"\xff\xfe\x00", {}, 422, "undecodable_credentials_file"),
        (b"A12BC3D4EFGH", {"identity_type": "UDID"}, 422, "unknown_identity_type"),
        (b"A12BC3D4EFGH", {"validate_only": "True"}, 400, "malformed_request"),
        (b"", {"validate_only": "true"}, 422, "empty_list"),
        (b"A12BC3D4EFGH", {"surprise": "true"}, 400, "malformed_request"),
        (b"A12BC3D4EFGH", {"bundle": "true"}, 400, "malformed_request"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole(
    refused: ApiCaller, file: bytes, fields: dict[str, str], status: int, code: str
) -> None:
    assert_nothing_was_deleted(refused, delete_listed(refused, file, **fields), status, code)


def test_a_list_as_text_rather_than_as_a_file_is_refused(refused: ApiCaller) -> None:
    form = {"identities": FIRST, "identity_type": "SERIAL_NUMBER"}
    answer = refused.post("/api/v1/deletions", data=form, content_type="multipart/form-data")

    assert_nothing_was_deleted(refused, answer, 400, "malformed_request")
    assert answer.json is not None
    assert "as a file" in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/zip", "application/x-www-form-urlencoded"]
)
def test_a_body_of_another_type_is_not_read(refused: ApiCaller, content_type: str | None) -> None:
    answer = refused.post("/api/v1/deletions", data=FIRST.encode(), content_type=content_type)

    assert_nothing_was_deleted(refused, answer, 415, "unsupported_media_type")


def test_a_list_over_a_limit_is_refused(new_service: NewService) -> None:
    service = new_service(limits=Limits(entries=2, credentials_file_bytes=1000))
    app = an_app(service)
    caller = ApiCaller(a_client(app), a_token(app, service))

    assert_nothing_was_deleted(caller, delete(caller, "a", "b", "c"), 413, "too_many_entries")
    assert_nothing_was_deleted(caller, delete(caller, "a" * 1000), 413, "bundle_too_large")
    assert_nothing_was_deleted(caller, delete_listed(caller, b"a\nb\nc\n"), 413, "too_many_entries")
    assert_nothing_was_deleted(caller, delete_listed(caller, b"a" * 1001), 413, "credentials_file_too_large")


def test_deletions_are_listed_newest_first_in_pages(caller: ApiCaller) -> None:
    ids = [delete(caller, name).json["id"] for name in (FIRST, SECOND, THIRD)]  # type: ignore[index]
    first = caller.get("/api/v1/deletions?limit=2").json
    assert first is not None
    second = caller.get(f"/api/v1/deletions?limit=2&cursor={first['next_cursor']}").json
    assert second is not None

    assert [each["id"] for each in first["items"] + second["items"]] == ids[::-1]


@pytest.mark.parametrize(
    ("query", "outcomes"),
    [
        ("", ["deleted", "not_found", "failed"]),
        ("?outcome=deleted", ["deleted"]),
        ("?outcome=failed", ["failed"]),
    ],
)
def test_items_are_listed_by_outcome(
    caller: ApiCaller, worker: Worker, query: str, outcomes: list[str]
) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    answer = delete(caller, FIRST, SECOND, "x")

    assert [item["outcome"] for item in items_of(caller, answer.headers["Location"], query)] == outcomes


def test_an_outcome_that_no_deletion_has_is_refused(caller: ApiCaller) -> None:
    answer = delete(caller, FIRST)

    assert caller.get(f"{answer.headers['Location']}/items?outcome=created").status_code == 400


def test_the_id_of_an_import_is_no_deletion(caller: ApiCaller) -> None:
    accepted = upload(caller, a_bundle([FIRST]))
    assert accepted.json is not None

    assert caller.get(f"/api/v1/deletions/{accepted.json['id']}").status_code == 404
    assert caller.get(f"/api/v1/deletions/{accepted.json['id']}/items").status_code == 404
