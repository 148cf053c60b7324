"""Chunks: work for workers, claimed with a lease and a fencing token.

A chunk is claimed in a short transaction, worked on outside of any, and finished in one transaction that
begins with `finish`: a worker that outlived its lease finds its token gone and changes nothing.

The time that imports have used decides the order of imports (`turns`). The column `turn` orders the chunks of
one import: n, n+1, n+2... where n is the least of all at its arrival, because workers of the previous release
claim the least turn of all imports.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.imports.turns import in_turn
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.imports import bulk_requests, chunks
from bulkcert.store.traces import Traces
from bulkcert.values.budgets import Cost


@dataclass(frozen=True)
class Chunk:
    """A claimed chunk. `attempts` includes this claim."""

    id: int
    request_id: str
    first_position: int
    last_position: int
    turn: int
    token: str
    attempts: int
    sealed_entries: bytes

    @property
    def positions(self) -> range:
        """The positions of its items in the request; some may already have a result."""
        return range(self.first_position, self.last_position + 1)


class Chunks:
    """Rows of chunks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next_turn(self) -> int:
        """Return the turn of the first chunk of a new import."""
        return self._connection.execute(sa.select(sa.func.min(chunks.c.turn))).scalar_one() or 0

    def insert(
        self, chunk_id: int, request_id: str, positions: range, turn: int, sealed_entries: bytes
    ) -> None:  # fmt: skip
        """Insert a chunk that is ready to be claimed. positions: the range of its items."""
        self._connection.execute(
            sa.insert(chunks).values(
                id=chunk_id,
                request_id=request_id,
                first_position=positions[0],
                last_position=positions[-1],
                turn=turn,
                attempts=0,
                sealed_entries=sealed_entries,
            )
        )

    def claim(
        self,
        now: datetime,
        leased_until: datetime,
        worker_id: str | None = None,
        unpaid: Cost | None = None,
    ) -> Chunk | None:
        """Claim the first chunk in turn without a live lease; return None if there is none.

        unpaid: time that this worker has used and not charged yet.
        """
        first = self._first_free(now, unpaid)
        if first is None:
            return None
        row = self._connection.execute(
            sa.update(chunks)
            .where(chunks.c.id == first)
            .values(
                leased_until=leased_until,
                token=str(uuid.uuid4()),
                worker_id=worker_id,
                attempts=chunks.c.attempts + 1,
            )
            .returning(*chunks.c)
        ).one()
        return value_of(Chunk, row)

    def _first_free(self, now: datetime, unpaid: Cost | None) -> int | None:
        free = _free(now)
        has_work = sa.exists().where(chunks.c.request_id == bulk_requests.c.id, free)
        for import_id in self._connection.execute(in_turn(has_work, now, unpaid)).scalars().all():
            first: int | None = self._connection.execute(
                sa.select(chunks.c.id)
                .where(chunks.c.request_id == import_id, free)
                .order_by(chunks.c.turn, chunks.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).scalar_one_or_none()
            if first is not None:  # otherwise other workers are claiming all of its chunks
                return first
        return None

    def is_work_waiting(self, now: datetime) -> bool:
        """Return whether `claim` would find a chunk; takes no lock."""
        query = sa.select(chunks.c.id).where(_free(now)).limit(1)
        return self._connection.execute(query).first() is not None

    def renew(self, chunk: Chunk, leased_until: datetime) -> bool:
        """Extend the lease of a chunk; return False if it was lost."""
        return bool(
            self._connection.execute(
                sa.update(chunks)
                .where(chunks.c.id == chunk.id, chunks.c.token == chunk.token)
                .values(leased_until=leased_until)
            ).rowcount
        )

    def release(self, chunk: Chunk, *, is_counted: bool = True) -> bool:
        """End the lease of a chunk early; return False if it was lost.

        is_counted: whether the claim counts as an attempt at its files.
        """
        released = self._connection.execute(
            sa.update(chunks)
            .where(chunks.c.id == chunk.id, chunks.c.token == chunk.token)
            .values(
                leased_until=None,
                token=None,
                worker_id=None,
                attempts=chunks.c.attempts - (0 if is_counted else 1),
            )
        )
        return bool(released.rowcount)

    def finish(self, chunk: Chunk) -> bool:
        """Delete a chunk; return False if the lease was lost, and nothing may then be written."""
        return bool(
            self._connection.execute(
                sa.delete(chunks).where(chunks.c.id == chunk.id, chunks.c.token == chunk.token)
            ).rowcount
        )

    def withdraw(self, request_id: str, now: datetime) -> tuple[int, list[range]]:
        """Delete the chunks of a request that are not leased.

        Returns their size in sealed bytes, and the positions of the chunks that are leased.
        """
        withdrawn = self._connection.execute(
            sa.delete(chunks)
            .where(chunks.c.request_id == request_id, _free(now))
            .returning(sa.func.length(chunks.c.sealed_entries))
        ).scalars()
        size = sum(withdrawn)
        if size:
            Traces(self._connection).note()
        leased = self._connection.execute(
            sa.select(chunks.c.first_position, chunks.c.last_position).where(
                chunks.c.request_id == request_id
            )
        )
        return size, [range(row.first_position, row.last_position + 1) for row in leased]


def _free(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(chunks.c.leased_until.is_(None), chunks.c.leased_until < now)
