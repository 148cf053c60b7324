"""Cancelling: what has not started fails as `cancelled`, what has is finished."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bulkcert.errors import ItemRefusal
from bulkcert.imports.chunk_work import ChunkWorker
from bulkcert.imports.intake import LEAST_IN_CHUNK
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import read_key_file
from bulkcert.vault.vault import Vault
from bulkcert.wiring.service import Service
from tests.api.citrix.conftest import a_citrix_caller
from tests.api.conftest import ApiCaller, NewService, Worker, a_worker, an_api_caller, an_app
from tests.api.v1.test_deletions import delete
from tests.api.v1.test_imports import FIRST, SECOND, counts, imported, items_of, upload
from tests.builders import a_bundle
from tests.verbs import InProcessOpener


def cancel(caller: ApiCaller, location: str, **rest: Any) -> TestResponse:
    return caller.post(f"{location}/cancel", **rest)


def refusal_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.json is not None
    return answer.status_code, answer.json["code"]


def test_an_import_that_has_not_begun_is_cancelled_at_once(caller: ApiCaller, worker: Worker) -> None:
    location = upload(caller, a_bundle([FIRST, SECOND])).headers["Location"]
    answer = cancel(caller, location)
    worker.work()

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["state"] == "cancelled"
    assert answer.json["counts"] == counts(total=2, done=2, failed=2)
    assert answer.json["finished_at"] is not None
    assert answer.json["estimated_finish"] is None
    assert caller.get(location).json == answer.json
    items = items_of(caller, f"{location}", "?code=cancelled&outcome=failed")
    assert [item["identity"] for item in items] == [FIRST, SECOND]
    assert caller.get(f"{location}/retry-list").text == f"{FIRST}.p12=\n{SECOND}.p12=\n"
    assert caller.get("/api/v1/certificates").json == {"items": [], "next_cursor": None}


def test_to_cancel_again_changes_nothing(caller: ApiCaller) -> None:
    location = upload(caller, a_bundle([FIRST])).headers["Location"]
    answers = [cancel(caller, location) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json


@pytest.mark.parametrize("files", [{}, {FIRST: b"broken"}])
def test_an_import_that_has_ended_is_not_cancelled(
    caller: ApiCaller, worker: Worker, files: dict[str, bytes]
) -> None:
    done = imported(caller, worker, a_bundle([FIRST], files=files))
    location = f"/api/v1/imports/{done['id']}"

    assert refusal_of(cancel(caller, location)) == (409, "already_finished")
    assert caller.get(location).json == done


def test_a_deletion_is_no_import_to_cancel(caller: ApiCaller) -> None:
    deletion = delete(caller, FIRST).json
    assert deletion is not None

    assert refusal_of(cancel(caller, f"/api/v1/imports/{deletion['id']}")) == (404, "not_found")
    assert refusal_of(cancel(caller, f"/api/v1/deletions/{deletion['id']}")) == (404, "not_found")


def test_to_cancel_takes_no_parameters(caller: ApiCaller) -> None:
    location = upload(caller, a_bundle([FIRST])).headers["Location"]
    answer = cancel(caller, location, query_string={"force": "true"})

    assert refusal_of(answer) == (400, "malformed_request")
    assert caller.get(f"{location}/items?code=cancelled").json == {"items": [], "next_cursor": None}


class Interrupted(InProcessOpener):
    """Lets something happen while the first chunk is in the worker's hands."""

    def __init__(self, happen: Callable[[], object]) -> None:
        self._happen: list[Callable[[], object]] = [happen]

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[OpenedCertificate | ItemRefusal]:
        while self._happen:
            self._happen.pop()()
        yield from super().open_all(files)


def work_interrupted(service: Service, happen: Callable[[], object]) -> None:
    assert service.config.master_key_file is not None
    vault = Vault(read_key_file(service.config.master_key_file))
    opener = Interrupted(happen)
    Worker(ChunkWorker(service.store, vault, opener, service.now, timedelta(seconds=60))).work()


def test_what_is_in_the_hands_of_a_worker_is_finished(caller: ApiCaller, service: Service) -> None:
    names = [f"A12BC3D4{number:04}" for number in range(LEAST_IN_CHUNK + 3)]
    location = upload(caller, a_bundle(names)).headers["Location"]
    answers: list[TestResponse] = []
    work_interrupted(service, lambda: answers.append(cancel(caller, location)))
    [answer] = answers
    done = caller.get(location).json

    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["state"], answer.json["finished_at"]) == ("running", None)
    assert answer.json["counts"] == counts(total=len(names), done=3, failed=3)
    assert done is not None
    assert done["state"] == "cancelled"
    expected = counts(total=len(names), done=len(names), created=LEAST_IN_CHUNK, failed=3)
    assert done["counts"] == expected
    codes = Counter(item["code"] for item in items_of(caller, location))
    assert codes == {None: LEAST_IN_CHUNK, "cancelled": 3}
    assert refusal_of(cancel(caller, f"{location}x")) == (404, "not_found")
    assert cancel(caller, location).json == done


def test_where_nothing_is_left_to_stop_the_import_ends_as_usual(caller: ApiCaller, service: Service) -> None:
    location = upload(caller, a_bundle([FIRST])).headers["Location"]
    statuses: list[int] = []
    work_interrupted(service, lambda: statuses.append(cancel(caller, location).status_code))
    done = caller.get(location).json

    assert statuses == [200]
    assert done is not None
    assert done["state"] == "succeeded"


def test_an_upload_that_is_waited_for_ends_with_its_cancellation(new_service: NewService) -> None:
    """201: whoever waits is told the end, which is this one."""
    service = new_service()
    caller = an_api_caller(service)
    bundle = a_bundle([FIRST])
    key = {"Idempotency-Key": "1"}
    cancel(caller, upload(caller, bundle, key).headers["Location"])
    again = upload(caller, bundle, key | {"Prefer": "wait=60"})

    assert again.status_code == 201
    assert again.json is not None
    assert again.json["state"] == "cancelled"


def test_a_cancelled_dry_run_keeps_nothing_either(caller: ApiCaller, worker: Worker) -> None:
    location = upload(caller, a_bundle([FIRST]), validate_only="true").headers["Location"]
    answer = cancel(caller, location)
    worker.work()

    assert answer.json is not None
    assert (answer.json["state"], answer.json["validate_only"]) == ("cancelled", True)


def test_a_cancelled_import_may_be_sent_again(caller: ApiCaller, worker: Worker) -> None:
    bundle = a_bundle([FIRST])
    cancel(caller, upload(caller, bundle).headers["Location"])

    assert imported(caller, worker, bundle)["counts"] == counts(total=1, done=1, created=1)


def test_at_the_citrix_compatible_api_a_cancelled_import_is_a_report_of_failures(
    new_service: NewService,
) -> None:
    """Somebody cancels through `/api/v1` while a client waits at the Citrix-compatible API."""
    service = new_service(citrix_wait_seconds=60)
    citrix, caller = a_citrix_caller(an_app(service), service), an_api_caller(service)
    wait = service.intake.wait

    def wait_cancelled(request_id: str, seconds: float) -> Any:
        cancel(caller, f"/api/v1/imports/{request_id}")
        return wait(request_id, seconds)

    service.intake.wait = wait_cancelled  # type: ignore[method-assign]
    app = an_app(service)
    citrix = a_citrix_caller(app, service)
    answer = citrix.upload(a_bundle([FIRST, SECOND]), '{"identityType":"SERIAL_NUMBER"}')
    a_worker(service).work()

    assert answer.status_code == 200
    assert answer.json["status"] == 1
    assert answer.json["message"] == "2 of 2 failed: see failures"
    assert (answer.json["successCount"], answer.json["failedCount"]) == ("0", "2")
    assert [failure["code"] for failure in answer.json["failures"]] == ["cancelled", "cancelled"]
