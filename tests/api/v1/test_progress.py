"""How far an import is, how long it still takes, and what is left of it when its report is pruned."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from bulkcert.api.v1.schemas import imports
from bulkcert.imports import reports
from bulkcert.imports.intake import LEAST_IN_CHUNK
from bulkcert.values.bulk_requests import BulkRequest, Counts, OnConflict, RequestKind, RequestState
from bulkcert.values.identities import IdentityType
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, NewService, Worker, a_worker, an_api_caller, an_app
from tests.api.v1.test_deletions import delete
from tests.api.v1.test_imports import FIRST, SECOND, imported, upload
from tests.api.v1.test_reports import keep_items
from tests.builders import a_bundle

NOW = datetime(2046, 11, 23, 12, 0, 0, tzinfo=UTC)
AN_IMPORT = BulkRequest(
    id="1",
    kind=RequestKind.IMPORT,
    identity_type=IdentityType.IMEI,
    state=RequestState.RUNNING,
    counts=Counts(total=100),
    on_conflict=OnConflict.REPLACE,
    requested_by="administrator",
    created_at=NOW - timedelta(seconds=30),
    started_at=NOW - timedelta(seconds=10),
    finished_at=None,
)


@pytest.fixture(scope="module")
def frozen(new_service: NewService) -> Flask:
    return an_app(new_service(lambda: NOW))


PROGRESS: list[tuple[dict[str, Any], float | None, str | None]] = [
    ({"started_at": None}, None, None),
    ({}, None, None),
    ({"counts": Counts(total=100, done=20)}, 2.0, "2046-11-23T12:00:40Z"),
    ({"counts": Counts(total=100, done=20, ignored=60)}, 2.0, "2046-11-23T12:00:10Z"),
    ({"counts": Counts(total=100, done=33)}, 3.3, "2046-11-23T12:00:20.303030Z"),
    ({"counts": Counts(total=100, done=1), "started_at": NOW - timedelta(hours=1)}, 0.0, "2046-11-27T15:00:00Z"),
    ({"counts": Counts(total=100, done=10), "started_at": NOW}, None, None),
    ({"counts": Counts(total=100, done=10), "started_at": NOW + timedelta(seconds=3)}, None, None),
    ({"counts": Counts(total=120_000, done=1), "started_at": NOW - timedelta(days=60)}, 0.0, None),
    ({"counts": Counts(total=120_000, done=1), "started_at": NOW - timedelta(days=60_000)}, 0.0, None),
    (
        {"counts": Counts(total=100, done=100), "state": RequestState.SUCCEEDED, "finished_at": NOW - timedelta(seconds=5)},
        20.0,
        None,
    ),
    (
        {"counts": Counts(total=100, done=100), "state": RequestState.CANCELLED, "started_at": None, "finished_at": NOW},
        None,
        None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "rate", "finish"), PROGRESS)
def test_the_rate_and_the_estimate_are_those_of_this_moment(
    frozen: Flask, changes: dict[str, Any], rate: float | None, finish: str | None
) -> None:
    with frozen.app_context():
        written = imports.Import().dump(dataclasses.replace(AN_IMPORT, **changes))

    assert (written["items_per_second"], written["estimated_finish"]) == (rate, finish)


def test_an_import_shows_its_progress(new_service: NewService) -> None:
    moment = [NOW]
    service = new_service(lambda: moment[0])
    caller, worker = an_api_caller(service), a_worker(service)
    names = [f"A12BC3D4{number:04}" for number in range(LEAST_IN_CHUNK + 10)]
    location = upload(caller, a_bundle(names, files=dict.fromkeys(names, b"broken"))).headers["Location"]

    def progress() -> tuple[Any, ...]:
        moment[0] += timedelta(seconds=5)
        found = caller.get(location).json
        assert found is not None
        return (
            found["state"],
            found["counts"]["done"],
            found["items_per_second"],
            found["estimated_finish"],
        )

    assert progress() == ("pending", 0, None, None)
    worker.chunk_worker.work_once()
    assert progress() == ("running", 50, 10.0, "2046-11-23T12:00:11Z")
    assert progress() == ("running", 50, 5.0, "2046-11-23T12:00:17Z")
    worker.work()
    assert progress() == progress() == ("failed", 60, 6.0, None)


# --- reports that are not kept any more ---------------------------------------------------------------


def prune(service: Service, location: str) -> None:
    with service.store.writing() as tx:
        tx.requests.prune(location[-36:], NOW)


def assert_gone(answer: TestResponse) -> None:
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (410, "report_pruned")
    assert "Content-Disposition" not in answer.headers


@pytest.fixture
def import_location(caller: ApiCaller, worker: Worker) -> str:
    return f"/api/v1/imports/{imported(caller, worker, a_bundle([FIRST, SECOND]))['id']}"


@pytest.fixture
def deletion_location(caller: ApiCaller) -> str:
    return delete(caller, FIRST).headers["Location"]


@pytest.mark.parametrize("kind", ["import_location", "deletion_location"])
def test_of_a_pruned_report_the_summary_stays(
    caller: ApiCaller, service: Service, kind: str, request: pytest.FixtureRequest
) -> None:
    location = request.getfixturevalue(kind)
    before = caller.get(location).json
    assert before is not None
    assert before["report_pruned_at"] is None
    prune(service, location)

    assert caller.get(location).json == before | {"report_pruned_at": "2046-11-23T12:00:00Z"}
    for query in ("", "?outcome=failed", "?code=expired&limit=1"):
        assert_gone(caller.get(f"{location}/items{query}"))
    for accept in ("text/csv", "application/x-ndjson"):
        assert_gone(caller.get(f"{location}/items", headers={"Accept": accept}))


def test_of_a_pruned_report_there_is_no_retry_list(
    caller: ApiCaller, service: Service, import_location: str
) -> None:
    prune(service, import_location)

    assert_gone(caller.get(f"{import_location}/retry-list"))


@pytest.mark.parametrize(
    ("path", "accept"), [("items", "text/csv"), ("items", "application/x-ndjson"), ("retry-list", "text/plain")]
)  # fmt: skip
@pytest.mark.parametrize("pages", [0, 1, 3])
def test_a_report_that_is_pruned_while_it_is_read_is_refused_rather_than_cut_off(
    caller: ApiCaller,
    service: Service,
    import_location: str,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    accept: str,
    pages: int,
) -> None:
    keep_items(service, import_location, 20)
    find, found = reports.Reports.items, iter(range(pages))

    def prune_after_some(self: Any, *wanted: Any) -> Any:
        if next(found, None) is None:
            prune(service, import_location)
        return find(self, *wanted)

    monkeypatch.setattr(reports, "_PAGE", 5)
    monkeypatch.setattr(reports.Reports, "items", prune_after_some)

    assert_gone(caller.get(f"{import_location}/{path}", headers={"Accept": accept}))
