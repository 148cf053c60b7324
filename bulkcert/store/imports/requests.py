"""Bulk requests (imports and deletions) and their counts."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import NotFound
from bulkcert.store.readable import readable, refuse_unknown
from bulkcert.store.sql import cursors
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.imports import bulk_requests, items
from bulkcert.values.bulk_requests import BulkRequest, Counts, OnConflict, RequestKind, RequestState
from bulkcert.values.identities import IdentityType
from bulkcert.values.pages import Page

ACTIVE = (RequestState.PENDING, RequestState.RUNNING)


@dataclass(frozen=True)
class QueuedWork:
    """Queued work: the number of unfinished imports, and the size of their chunks in sealed bytes."""

    imports: int
    bytes: int


class Requests:
    """Rows of bulk requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(
        self, request: BulkRequest, bundle_digest: str | None = None, waiting_bytes: int = 0
    ) -> None:  # fmt: skip
        """Insert a bulk request. waiting_bytes: the size of its chunks, sealed."""
        values = {
            "id": request.id,
            "kind": request.kind,
            "identity_type": request.identity_type,
            "on_conflict": request.on_conflict,
            "state": request.state,
            "requested_by": request.requested_by,
            "bundle_digest": bundle_digest,
            "created_at": request.created_at,
            "started_at": request.started_at,
            "finished_at": request.finished_at,
            "validate_only": request.validate_only,
            "is_cancelled": False,
            "waiting_bytes": waiting_bytes,
        }
        self._connection.execute(sa.insert(bulk_requests).values(values | dataclasses.asdict(request.counts)))

    def find(self, request_id: str, kind: RequestKind | None = None) -> BulkRequest:
        """Return a bulk request, or raise `NotFound`."""
        query = sa.select(bulk_requests).where(bulk_requests.c.id == request_id)
        if kind is not None:
            query = query.where(bulk_requests.c.kind == kind)
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFound("There is no such import or deletion.")
        return _request(row)

    def find_active(self, bundle_digest: str) -> BulkRequest | None:
        """Return the unfinished request with the same bundle; None if there is none."""
        row = self._connection.execute(
            sa.select(bulk_requests)
            .where(bulk_requests.c.bundle_digest == bundle_digest, bulk_requests.c.state.in_(ACTIVE))
            .limit(1)
        ).first()
        return None if row is None else _request(row)

    def load(self, requested_by: str | None = None) -> QueuedWork:
        """Return the queued work of all principals, or of one login."""
        query = sa.select(
            sa.func.count(), sa.func.coalesce(sa.func.sum(bulk_requests.c.waiting_bytes), 0)
        ).where(bulk_requests.c.finished_at.is_(None))
        if requested_by is not None:
            query = query.where(bulk_requests.c.requested_by == requested_by)
        number, size = self._connection.execute(query).one()
        return QueuedWork(int(number), int(size))

    def cancel(self, request_id: str) -> None:
        """Record that items of a request were stopped: it will end as cancelled."""
        self._connection.execute(
            sa.update(bulk_requests).where(bulk_requests.c.id == request_id).values(is_cancelled=True)
        )

    def lock(self, request_id: str) -> None:
        """Lock a request until the transaction ends."""
        self._connection.execute(
            sa.select(bulk_requests.c.id).where(bulk_requests.c.id == request_id).with_for_update()
        )

    def prunable(self, before: datetime) -> str | None:
        """Return the id of a request that ended before a time and still has its items, or None."""
        return self._connection.execute(
            sa.select(bulk_requests.c.id)
            .where(bulk_requests.c.report_pruned_at.is_(None), bulk_requests.c.finished_at < before)
            .order_by(bulk_requests.c.finished_at)
            .limit(1)
        ).scalar_one_or_none()

    def prune(self, request_id: str, now: datetime) -> None:
        """Delete the items of a request; its counts stay."""
        self._connection.execute(sa.delete(items).where(items.c.request_id == request_id))
        self._connection.execute(
            sa.update(bulk_requests).where(bulk_requests.c.id == request_id).values(report_pruned_at=now)
        )

    def page(self, kind: RequestKind, limit: int, cursor: str | None) -> Page[BulkRequest]:
        """Return a page of the bulk requests of a kind, newest first."""
        query = sa.select(bulk_requests).where(bulk_requests.c.kind == kind)
        if cursor is not None:
            query = query.where(bulk_requests.c.id < cursors.read_text(cursor))
        rows = self._connection.execute(query.order_by(bulk_requests.c.id.desc()).limit(limit + 1))
        return cursors.page(((row.id, cursors.size_of(row), readable(_request, row)) for row in rows), limit)

    def start(self, request_id: str, now: datetime) -> bool:
        """Record the start of work on a request; return False if it had started before."""
        started = self._connection.execute(
            sa.update(bulk_requests)
            .where(bulk_requests.c.id == request_id, bulk_requests.c.state == RequestState.PENDING)
            .values(state=RequestState.RUNNING, started_at=now)
        )
        return started.rowcount > 0

    def forget_bundle(self, request_id: str) -> None:
        """Clear the digest of a bundle whose result a deletion changed: the same bundle is a new import."""
        self._connection.execute(
            sa.update(bulk_requests).where(bulk_requests.c.id == request_id).values(bundle_digest=None)
        )

    def count(
        self, request_id: str, changes: Mapping[str, int], now: datetime, done_bytes: int = 0
    ) -> BulkRequest | None:
        """Add to the counts of a request; return the request if that finished it, else None.

        Args:
            request_id: the request.
            changes: numbers to add, by the names of the counts.
            now: the time of the end, if it is finished.
            done_bytes: the size of the finished chunk, sealed.
        """
        if not changes and not done_bytes:
            return None
        row = self._connection.execute(
            sa.update(bulk_requests)
            .where(bulk_requests.c.id == request_id)
            .values(
                {name: bulk_requests.c[name] + change for name, change in changes.items()}
                | {"waiting_bytes": bulk_requests.c.waiting_bytes - done_bytes}
            )
            .returning(*bulk_requests.c)
        ).one()
        request = _request(row)
        state = request.counts.state()
        if not state.is_finished or request.state.is_finished:
            return None
        if row.is_cancelled:
            state = RequestState.CANCELLED
        self._connection.execute(
            sa.update(bulk_requests)
            .where(bulk_requests.c.id == request_id)
            .values(state=state, finished_at=now)
        )
        return dataclasses.replace(request, state=state, finished_at=now)


@refuse_unknown("bulk request")
def _request(row: Row[Any]) -> BulkRequest:
    return value_of(
        BulkRequest,
        row,
        kind=RequestKind(row.kind),
        identity_type=IdentityType(row.identity_type) if row.identity_type else None,
        state=RequestState(row.state),
        counts=value_of(Counts, row),
        on_conflict=OnConflict(row.on_conflict) if row.on_conflict else None,
    )
