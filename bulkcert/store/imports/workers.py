"""Workers: who does the work, and who was not heard of for too long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.store.readable import all_readable, refuse_unknown
from bulkcert.store.tables.imports import chunks, workers
from bulkcert.values.workers import Worker, WorkerState


class Workers:
    """Keep who works."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, worker: Worker) -> None:
        """Keep a worker that joins."""
        self._connection.execute(
            sa.insert(workers).values(
                id=worker.id,
                host=worker.host,
                process_id=worker.process_id,
                version=worker.version,
                state=worker.state,
                started_at=worker.started_at,
                last_seen_at=worker.last_seen_at,
                items_done=worker.items_done,
            )
        )

    def see(self, worker_id: str, now: datetime, items_done: int = 0) -> bool:
        """Note that a worker lives, and did something; False where it was thought lost."""
        state = self._connection.execute(
            sa.update(workers)
            .where(workers.c.id == worker_id)
            .values(last_seen_at=now, items_done=workers.c.items_done + items_done)
            .returning(workers.c.state)
        ).scalar_one_or_none()
        return state == WorkerState.RUNNING

    def return_(self, worker_id: str) -> Worker | None:
        """Note that a worker that was thought lost runs after all; None where it is forgotten."""
        row = self._connection.execute(
            sa.update(workers)
            .where(workers.c.id == worker_id)
            .values(state=WorkerState.RUNNING, ended_at=None)
            .returning(*workers.c)
        ).first()
        return None if row is None else _worker(row)

    def end(self, worker_id: str, state: WorkerState, now: datetime) -> Worker | None:
        """Note that a running worker left or was lost, and free its chunks; None where it was not running."""
        row = self._connection.execute(
            sa.update(workers)
            .where(workers.c.id == worker_id, workers.c.state == WorkerState.RUNNING)
            .values(state=state, ended_at=now)
            .returning(*workers.c)
        ).first()
        if row is None:
            return None
        # Its token goes too: should it live after all, what it has in hand comes to nothing.
        self._connection.execute(
            sa.update(chunks)
            .where(chunks.c.worker_id == worker_id)
            .values(leased_until=None, token=None, worker_id=None)
        )
        return _worker(row)

    def silent(self, since: datetime) -> list[str]:
        """List the running workers that were not seen since then."""
        found = self._connection.execute(
            sa.select(workers.c.id)
            .where(workers.c.state == WorkerState.RUNNING, workers.c.last_seen_at < since)
            .order_by(workers.c.id)
        )
        return list(found.scalars())

    def list(self, most: int) -> Sequence[Worker]:
        """List workers: those that run first, then the others, the last seen first."""
        rows = self._connection.execute(
            sa.select(workers)
            .order_by(workers.c.state != WorkerState.RUNNING, workers.c.last_seen_at.desc(), workers.c.id)
            .limit(most)
        )
        return all_readable(_worker, rows)

    def forget(self, before: datetime) -> None:
        """Forget workers that ended before then."""
        self._connection.execute(sa.delete(workers).where(workers.c.ended_at < before))


@refuse_unknown("worker")
def _worker(row: Row[Any]) -> Worker:
    return Worker(
        id=row.id,
        host=row.host,
        process_id=row.process_id,
        version=row.version,
        state=WorkerState(row.state),
        started_at=row.started_at,
        last_seen_at=row.last_seen_at,
        ended_at=row.ended_at,
        items_done=row.items_done,
    )
