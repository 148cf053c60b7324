"""The registry of workers: who joined, who left, who fell silent.

A worker is seen whenever it commits or renews a lease, and by `beat` while it is idle. One that was not seen
for the time of a lease is lost: whatever it held is free by then, and is given back at once.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bulkcert import __version__
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.events import Event, EventType
from bulkcert.values.workers import Worker, WorkerState

_BEATS_IN_LEASE = 4


class WorkerRegistry:
    """Keeps the registry. lease: how long a worker holds a chunk without a sign of life."""

    def __init__(self, store: Store, now: Callable[[], datetime], lease: timedelta) -> None:
        self._store = store
        self._now = now
        self._lease = lease
        self._next_beat = 0.0

    def join(self) -> str:
        """Enter this process; gives its id."""
        with self._store.writing() as tx:
            now = tx.now
            worker = Worker(
                id=str(uuid.uuid4()),
                host=socket.gethostname()[:255],
                process_id=os.getpid(),
                version=__version__,
                state=WorkerState.RUNNING,
                started_at=now,
                last_seen_at=now,
                ended_at=None,
                items_done=0,
            )
            tx.workers.insert(worker)
            self._record(tx, EventType.WORKER_JOINED, worker)
        return worker.id

    def beat(self, worker_id: str) -> None:
        """Show that a worker lives, and look for those that do not; does so a few times in each lease."""
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + self._lease.total_seconds() / _BEATS_IN_LEASE
        with self._store.writing() as tx:
            now = tx.now
            if not tx.workers.see(worker_id, now) and (returned := tx.workers.return_(worker_id)):
                self._record(tx, EventType.WORKER_JOINED, returned)
            for silent in tx.workers.silent(now - self._lease):
                if (lost := tx.workers.end(silent, WorkerState.LOST, now)) is not None:
                    self._record(tx, EventType.WORKER_LOST, lost)

    def leave(self, worker_id: str) -> None:
        """Record that a worker ends as it was asked to."""
        with self._store.writing() as tx:
            left = tx.workers.end(worker_id, WorkerState.LEFT, tx.now)
            if left is not None:
                self._record(tx, EventType.WORKER_LEFT, left)

    def list(self, most: int) -> Sequence[Worker]:
        """List workers: those that run first."""
        with self._store.reading() as tx:
            return tx.workers.list(most)

    def _record(self, tx: Transaction, event: EventType, worker: Worker) -> None:
        facts = {
            "worker_id": worker.id,
            "host": worker.host,
            "process_id": worker.process_id,
            "version": worker.version,
        }
        tx.events.append(Event(event, self._now(), "system", facts))
