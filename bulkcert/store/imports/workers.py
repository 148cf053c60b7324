"""Worker processes: their states, and the time when each was last seen."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.store.readable import all_readable, refuse_unknown
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.imports import chunks, workers
from bulkcert.values.workers import Worker, WorkerState


class Workers:
    """Rows of worker processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, worker: Worker) -> None:
        """Insert a worker."""
        self._connection.execute(sa.insert(workers).values(asdict(worker)))

    def see(self, worker_id: str, now: datetime, items_done: int = 0) -> bool:
        """Record that a worker is alive, and its finished items; return False if it counts as lost."""
        state = self._connection.execute(
            sa.update(workers)
            .where(workers.c.id == worker_id)
            .values(last_seen_at=now, items_done=workers.c.items_done + items_done)
            .returning(workers.c.state)
        ).scalar_one_or_none()
        return state == WorkerState.RUNNING

    def return_(self, worker_id: str) -> Worker | None:
        """Record that a worker that counted as lost is running; return None if its row was deleted."""
        row = self._connection.execute(
            sa.update(workers)
            .where(workers.c.id == worker_id)
            .values(state=WorkerState.RUNNING, ended_at=None)
            .returning(*workers.c)
        ).first()
        return None if row is None else _worker(row)

    def end(self, worker_id: str, state: WorkerState, now: datetime) -> Worker | None:
        """Record that a running worker left or was lost, and free its chunks; None if it was not running."""
        row = self._connection.execute(
            sa.update(workers)
            .where(workers.c.id == worker_id, workers.c.state == WorkerState.RUNNING)
            .values(state=state, ended_at=now)
            .returning(*workers.c)
        ).first()
        if row is None:
            return None
        # The token is cleared too: if the worker is alive after all, it can no longer commit these chunks.
        self._connection.execute(
            sa.update(chunks)
            .where(chunks.c.worker_id == worker_id)
            .values(leased_until=None, token=None, worker_id=None)
        )
        return _worker(row)

    def silent(self, since: datetime) -> list[str]:
        """Return the ids of running workers that were last seen before a time."""
        found = self._connection.execute(
            sa.select(workers.c.id)
            .where(workers.c.state == WorkerState.RUNNING, workers.c.last_seen_at < since)
            .order_by(workers.c.id)
        )
        return list(found.scalars())

    def list(self, most: int) -> Sequence[Worker]:
        """Return workers: running ones first, then the others, the last seen first."""
        rows = self._connection.execute(
            sa.select(workers)
            .order_by(workers.c.state != WorkerState.RUNNING, workers.c.last_seen_at.desc(), workers.c.id)
            .limit(most)
        )
        return all_readable(_worker, rows)

    def forget(self, before: datetime) -> None:
        """Delete workers that ended before a time."""
        self._connection.execute(sa.delete(workers).where(workers.c.ended_at < before))


@refuse_unknown("worker")
def _worker(row: Row[Any]) -> Worker:
    return value_of(Worker, row, state=WorkerState(row.state))
