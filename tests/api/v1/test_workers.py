"""Who works: the list of workers over HTTP."""

from datetime import timedelta

import pytest

from bulkcert import __version__
from bulkcert.values.principals import Scope
from bulkcert.values.workers import Worker, WorkerState
from bulkcert.wiring.service import Service
from bulkcert.wiring.work import make_work
from tests.api.conftest import ApiCaller, an_api_caller


def keep(service: Service, worker_id: str, state: WorkerState, minutes: int) -> None:
    """Keep a worker that was last seen some minutes ago."""
    seen = service.now() - timedelta(minutes=minutes)
    began = seen - timedelta(hours=1)
    with service.store.writing() as tx:
        tx.workers.insert(
            Worker(worker_id, "worker-1.example", 4711, "1.2.3", WorkerState.RUNNING, began, seen, None, 42)
        )
        if state is not WorkerState.RUNNING:
            tx.workers.end(worker_id, state, seen)


def test_without_workers_the_list_is_empty(caller: ApiCaller) -> None:
    assert caller.get("/api/v1/workers").json == {"items": [], "next_cursor": None}


def test_those_that_run_come_first_then_the_last_seen(caller: ApiCaller, service: Service) -> None:
    keep(service, "gone", WorkerState.LEFT, 1)
    keep(service, "quiet", WorkerState.RUNNING, 3)
    keep(service, "silent", WorkerState.LOST, 5)
    keep(service, "busy", WorkerState.RUNNING, 0)
    answer = caller.get("/api/v1/workers").json
    assert answer is not None
    first = answer["items"][0]

    assert answer["next_cursor"] is None
    assert [(each["id"], each["state"]) for each in answer["items"]] == [
        ("busy", "running"),
        ("quiet", "running"),
        ("gone", "left"),
        ("silent", "lost"),
    ]
    assert list(first) == [
        "id", "host", "process_id", "version", "state", "started_at", "last_seen_at", "ended_at", "items_done",
    ]  # fmt: skip
    assert (first["host"], first["process_id"], first["version"]) == ("worker-1.example", 4711, "1.2.3")
    assert (first["items_done"], first["ended_at"]) == (42, None)
    assert answer["items"][2]["ended_at"] == answer["items"][2]["last_seen_at"]


def test_a_worker_that_works_is_in_the_list(service: Service, caller: ApiCaller) -> None:
    work = make_work(service.config)
    joined = caller.get("/api/v1/workers").json
    work.close()
    left = caller.get("/api/v1/workers").json
    assert joined is not None
    assert left is not None

    assert [(each["state"], each["version"]) for each in joined["items"]] == [("running", __version__)]
    assert [each["state"] for each in left["items"]] == ["left"]


def test_a_thousand_are_shown(caller: ApiCaller, service: Service) -> None:
    now = service.now()
    with service.store.writing() as tx:
        for number in range(1001):
            tx.workers.insert(
                Worker(str(number), "host", 1, "1", WorkerState.RUNNING, now, now, None, 0),
            )
    answer = caller.get("/api/v1/workers").json
    assert answer is not None

    assert len(answer["items"]) == 1000


@pytest.mark.parametrize("query", ["limit=1", "cursor=MQ", "state=running"])
def test_the_list_takes_no_parameters(refused: ApiCaller, query: str) -> None:
    assert refused.get(f"/api/v1/workers?{query}").status_code == 400


def test_metrics_read_is_the_scope(service: Service) -> None:
    may = an_api_caller(service, {Scope.METRICS_READ})
    may_not = an_api_caller(service, set(Scope) - {Scope.METRICS_READ})

    assert may.get("/api/v1/workers").status_code == 200
    assert may_not.get("/api/v1/workers").status_code == 403
