"""Chunks: work that waits for a worker, claimed with a lease and a fencing token.

A chunk is claimed in a short transaction, worked on outside of any, and finished in one transaction that
begins with `hold`: a worker that outlived its lease finds its token gone and changes nothing.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.schema import chunks


@dataclass(frozen=True)
class Chunk:
    """A claimed chunk. `attempts` counts this claim too."""

    id: int
    request_id: str
    first_position: int
    last_position: int
    token: str
    attempts: int
    sealed_entries: bytes


class Chunks:
    """Keep, claim and finish chunks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, chunk_id: int, request_id: str, positions: range, sealed_entries: bytes) -> None:
        """Keep a chunk that is ready to be claimed; its items stand at some of these positions."""
        self._connection.execute(
            sa.insert(chunks).values(
                id=chunk_id,
                request_id=request_id,
                first_position=positions[0],
                last_position=positions[-1],
                attempts=0,
                sealed_entries=sealed_entries,
            )
        )

    def claim(self, now: datetime, leased_until: datetime) -> Chunk | None:
        """Claim the oldest chunk that nobody holds a live lease of."""
        free = sa.or_(chunks.c.leased_until.is_(None), chunks.c.leased_until < now)
        oldest = self._connection.execute(
            sa.select(chunks.c.id)
            .where(free)
            .order_by(chunks.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).scalar_one_or_none()
        if oldest is None:
            return None
        row = self._connection.execute(
            sa.update(chunks)
            .where(chunks.c.id == oldest)
            .values(leased_until=leased_until, token=str(uuid.uuid4()), attempts=chunks.c.attempts + 1)
            .returning(*chunks.c)
        ).one()
        return Chunk(
            id=row.id,
            request_id=row.request_id,
            first_position=row.first_position,
            last_position=row.last_position,
            token=row.token,
            attempts=row.attempts,
            sealed_entries=row.sealed_entries,
        )

    def is_work_waiting(self, now: datetime) -> bool:
        """Tell whether `claim` would find something, without taking the write lock."""
        free = sa.or_(chunks.c.leased_until.is_(None), chunks.c.leased_until < now)
        return self._connection.execute(sa.select(chunks.c.id).where(free).limit(1)).first() is not None

    def renew(self, chunk: Chunk, leased_until: datetime) -> bool:
        """Hold a chunk longer; False where the lease was lost."""
        return bool(
            self._connection.execute(
                sa.update(chunks)
                .where(chunks.c.id == chunk.id, chunks.c.token == chunk.token)
                .values(leased_until=leased_until)
            ).rowcount
        )

    def release(self, chunk: Chunk) -> None:
        """Give a chunk back before its lease ends."""
        self._connection.execute(
            sa.update(chunks)
            .where(chunks.c.id == chunk.id, chunks.c.token == chunk.token)
            .values(leased_until=None, token=None)
        )

    def finish(self, chunk: Chunk) -> bool:
        """Delete a chunk and what it holds; False where the lease was lost, and nothing may be written."""
        return bool(
            self._connection.execute(
                sa.delete(chunks).where(chunks.c.id == chunk.id, chunks.c.token == chunk.token)
            ).rowcount
        )
