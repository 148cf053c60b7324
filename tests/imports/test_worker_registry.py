"""The registry of workers: who joined, left, or fell silent, with an event for each."""

from datetime import timedelta

from structlog.testing import capture_logs

from bulkcert.imports.chunk_work import ChunkWorker
from bulkcert.imports.worker_registry import WorkerRegistry
from bulkcert.values.events import EventType
from bulkcert.values.workers import WorkerState
from tests.builders import a_bundle
from tests.verbs import InProcessOpener, Verbs

LEASE = timedelta(seconds=20)
A, B = "A12BC3D4EFGH", "B12BC3D4EFGH"


def a_roll(verbs: Verbs) -> WorkerRegistry:
    return WorkerRegistry(verbs.store, verbs.clock, LEASE)


def states(verbs: Verbs) -> dict[str, WorkerState]:
    return {worker.id: worker.state for worker in a_roll(verbs).list(10)}


def events(verbs: Verbs) -> list[EventType]:
    with verbs.store.reading() as tx:
        return [event.type for event in tx.events.list() if 5100 <= event.type < 5200]


def test_who_joins_is_running_until_it_leaves(verbs: Verbs) -> None:
    with capture_logs() as log:
        worker = a_roll(verbs).join()
        assert states(verbs) == {worker: WorkerState.RUNNING}
        a_roll(verbs).leave(worker)

    assert [(line["event"], line["worker_id"]) for line in log] == [
        ("worker joined", worker), ("worker left", worker),
    ]  # fmt: skip
    assert states(verbs) == {worker: WorkerState.LEFT}
    assert events(verbs) == [EventType.WORKER_JOINED, EventType.WORKER_LEFT]


def test_a_worker_that_falls_silent_is_lost_and_its_chunk_is_free(verbs: Verbs) -> None:
    silent, alive = a_roll(verbs).join(), a_roll(verbs).join()
    verbs.accept(a_bundle([A]))
    with verbs.store.writing() as tx:
        assert tx.chunks.claim(verbs.clock(), verbs.clock() + 100 * LEASE, silent) is not None
    verbs.clock.pass_by(seconds=21)
    with capture_logs() as log:
        a_roll(verbs).beat(alive)

    assert [(line["event"], line["log_level"], line["worker_id"]) for line in log] == [
        ("worker lost", "warning", silent)
    ]
    assert states(verbs) == {silent: WorkerState.LOST, alive: WorkerState.RUNNING}
    assert verbs.chunk_worker.work_once() is True


def test_a_worker_that_was_thought_lost_and_lives_joins_again(verbs: Verbs) -> None:
    frozen, alive = a_roll(verbs).join(), a_roll(verbs).join()
    verbs.clock.pass_by(seconds=21)
    a_roll(verbs).beat(alive)
    a_roll(verbs).beat(frozen)

    assert states(verbs) == {frozen: WorkerState.RUNNING, alive: WorkerState.RUNNING}
    assert events(verbs)[2:] == [EventType.WORKER_LOST, EventType.WORKER_JOINED]


def test_a_worker_counts_the_devices_that_it_did(verbs: Verbs) -> None:
    worker = a_roll(verbs).join()
    chunk_worker = ChunkWorker(verbs.store, verbs.vault, InProcessOpener(), verbs.clock, LEASE, worker)
    verbs.accept(a_bundle([A, B]))
    chunk_worker.work_once()

    assert [found.items_done for found in a_roll(verbs).list(10)] == [2]
