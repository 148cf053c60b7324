"""validate_only: the same report, and nothing is kept, deleted or stopped by it."""

import io
from typing import Any

import pytest

from tests.api.conftest import ApiCaller, Worker
from tests.api.v1.test_deletions import current_identities, delete, delete_listed
from tests.api.v1.test_imports import FIRST, SECOND, THIRD, counts, imported, items_of, upload, upload_raw
from tests.builders import a_bundle, a_pkcs12, a_zip


def certificates(caller: ApiCaller) -> list[dict[str, Any]]:
    answer = caller.get("/api/v1/certificates").json
    assert answer is not None
    return list(answer["items"])


# --- imports ------------------------------------------------------------------------------------------


def test_a_dry_run_reports_what_the_import_then_does(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([SECOND]))
    kept = certificates(caller)
    bundle = a_bundle([FIRST, SECOND, THIRD], files={THIRD: b"broken"}, extra={"__MACOSX/x": b""})
    dry = imported(caller, worker, bundle, validate_only="true")

    assert dry["validate_only"] is True
    assert dry["state"] == "partially_succeeded"
    assert dry["counts"] == counts(total=4, done=3, created=1, replaced=1, failed=1, ignored=1)
    assert certificates(caller) == kept
    items = items_of(caller, f"/api/v1/imports/{dry['id']}")
    assert {item["certificate_id"] for item in items} == {None}

    done = imported(caller, worker, bundle)

    assert done["validate_only"] is False
    assert (done["state"], done["counts"]) == (dry["state"], dry["counts"])
    real = items_of(caller, f"/api/v1/imports/{done['id']}")
    assert [item | {"certificate_id": None} for item in real] == items
    assert len(certificates(caller)) == 3


def test_a_dry_run_of_what_is_there_is_unchanged(caller: ApiCaller, worker: Worker) -> None:
    bundle = a_bundle([FIRST])
    imported(caller, worker, bundle)
    dry = imported(caller, worker, bundle, validate_only="true")

    assert dry["counts"] == counts(total=1, done=1, unchanged=1)


@pytest.mark.parametrize(("validate_only", "status"), [("true", 200), ("false", 201)])
def test_a_dry_run_that_is_done_within_the_wait_is_200(
    caller: ApiCaller, worker: Worker, validate_only: str, status: int
) -> None:
    with worker.working():
        answer = upload(caller, a_bundle([FIRST]), {"Prefer": "wait=60"}, validate_only=validate_only)

    assert answer.status_code == status
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert caller.get(answer.headers["Location"]).json == answer.json


def test_a_dry_run_that_goes_on_is_202(caller: ApiCaller) -> None:
    for answer in (
        upload(caller, a_bundle([FIRST]), validate_only="true"),
        upload_raw(caller, a_bundle([FIRST]), validate_only="true"),
    ):
        assert answer.status_code == 202
        assert answer.json is not None
        assert answer.json["validate_only"] is True
        assert answer.headers["Retry-After"]


def test_a_dry_run_of_which_everything_has_failed_already_is_200(caller: ApiCaller) -> None:
    bundle = a_zip({f"{FIRST}.p12": b"x", "credential.txt": b""})
    answer = upload(caller, bundle, validate_only="true")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["state"] == "failed"


@pytest.mark.parametrize(
    ("bundle", "status", "code"),
    [(b"no zip", 422, "not_a_zip"), (a_zip({"credential.txt": b""}), 422, "empty_bundle")],
)
def test_a_dry_run_of_a_bundle_that_cannot_be_used_is_refused(
    refused: ApiCaller, bundle: bytes, status: int, code: str
) -> None:
    answer = upload(refused, bundle, validate_only="true")

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_a_dry_run_says_which_keys_stand_twice(caller: ApiCaller, worker: Worker) -> None:
    twin = a_pkcs12(FIRST)
    dry = imported(
        caller, worker, a_bundle([FIRST, SECOND], files={FIRST: twin, SECOND: twin}), validate_only="true"
    )

    codes = [item["code"] for item in items_of(caller, f"/api/v1/imports/{dry['id']}")]
    assert codes == ["duplicate_key", "duplicate_key"]


# --- deletions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["json", "file"])
def test_a_dry_run_of_a_deletion_reports_and_deletes_nothing(
    caller: ApiCaller, worker: Worker, how: str
) -> None:
    imported(caller, worker, a_bundle([FIRST, SECOND]))
    kept = certificates(caller)
    names = [FIRST, THIRD, "x", FIRST]
    if how == "json":
        answer = delete(caller, *names, validate_only=True)
    else:
        answer = delete_listed(caller, "\n".join(names).encode(), validate_only="true")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["validate_only"] is True
    assert answer.json["state"] == "partially_succeeded"
    expected = {"total": 4, "done": 3, "deleted": 1, "not_found": 1, "failed": 1, "ignored": 1}
    assert answer.json["counts"] == expected
    outcomes = [item["outcome"] for item in items_of(caller, answer.headers["Location"])]
    assert outcomes == ["deleted", "not_found", "failed"]
    assert caller.get(answer.headers["Location"]).json == answer.json
    assert certificates(caller) == kept

    done = delete(caller, *names)

    assert done.status_code == 201
    assert done.json is not None
    assert (done.json["validate_only"], done.json["counts"]) == (False, expected)
    assert current_identities(caller) == [SECOND]


def test_a_dry_run_of_a_deletion_takes_nothing_out_of_an_import(caller: ApiCaller, worker: Worker) -> None:
    accepted = upload(caller, a_bundle([FIRST]))
    answer = delete(caller, FIRST, validate_only=True)
    worker.work()

    assert answer.json is not None
    assert answer.json["counts"]["deleted"] == 1
    assert current_identities(caller) == [FIRST]
    done = caller.get(accepted.headers["Location"]).json
    assert done is not None
    assert done["state"] == "succeeded"


def test_the_key_of_what_was_only_validated_can_still_be_released(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    delete(caller, FIRST, validate_only=True)
    [certificate] = certificates(caller)
    released = caller.post(f"/api/v1/certificates/{certificate['id']}/release", json={"format": "pkcs12"})

    assert released.status_code == 200


def test_a_list_is_read_before_it_is_validated(caller: ApiCaller) -> None:
    form = {"identities": (io.BytesIO(b"\xff\xfe\x00"), "list.txt"), "identity_type": "IMEI"}
    answer = caller.post("/api/v1/deletions", data=form | {"validate_only": "true"})

    assert answer.status_code == 422
