"""Bulk requests (imports and deletions) and their counts."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import NotFound
from bulkcert.identities import IdentityType
from bulkcert.reports import BulkRequest, Counts, OnConflict, Page, RequestKind, RequestState
from bulkcert.store import cursors
from bulkcert.store.schema import COUNTS, bulk_requests

ACTIVE = (RequestState.PENDING, RequestState.RUNNING)


class Requests:
    """Keep bulk requests and their counts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, request: BulkRequest, bundle_digest: str | None = None) -> None:
        """Keep a new bulk request."""
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
        }
        self._connection.execute(sa.insert(bulk_requests).values(values | dataclasses.asdict(request.counts)))

    def find(self, request_id: str, kind: RequestKind | None = None) -> BulkRequest:
        """Look a bulk request up, or raise `NotFound`."""
        query = sa.select(bulk_requests).where(bulk_requests.c.id == request_id)
        if kind is not None:
            query = query.where(bulk_requests.c.kind == kind)
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFound("There is no such import or deletion.")
        return _request(row)

    def find_active(self, bundle_digest: str) -> BulkRequest | None:
        """Find the unfinished request that was made of the same bundle."""
        row = self._connection.execute(
            sa.select(bulk_requests)
            .where(bulk_requests.c.bundle_digest == bundle_digest, bulk_requests.c.state.in_(ACTIVE))
            .limit(1)
        ).first()
        return None if row is None else _request(row)

    def page(self, kind: RequestKind, limit: int, cursor: str | None) -> Page[BulkRequest]:
        """List bulk requests of a kind, the newest first."""
        query = sa.select(bulk_requests).where(bulk_requests.c.kind == kind)
        if cursor is not None:
            query = query.where(bulk_requests.c.id < cursors.read_text(cursor))
        rows = self._connection.execute(query.order_by(bulk_requests.c.id.desc()).limit(limit + 1))
        return cursors.page([(row.id, _request(row)) for row in rows], limit)

    def start(self, request_id: str, now: datetime) -> None:
        """Note that work on a request has begun."""
        self._connection.execute(
            sa.update(bulk_requests)
            .where(bulk_requests.c.id == request_id, bulk_requests.c.state == RequestState.PENDING)
            .values(state=RequestState.RUNNING, started_at=now)
        )

    def forget_bundle(self, request_id: str) -> None:
        """Let the same bundle be a new import from now on: a deletion changed what this one comes to."""
        self._connection.execute(
            sa.update(bulk_requests).where(bulk_requests.c.id == request_id).values(bundle_digest=None)
        )

    def count(self, request_id: str, changes: Mapping[str, int], now: datetime) -> BulkRequest | None:
        """Add to the counts of a request; returns the request where that finished it, else None."""
        if not changes:
            return None
        row = self._connection.execute(
            sa.update(bulk_requests)
            .where(bulk_requests.c.id == request_id)
            .values({name: bulk_requests.c[name] + change for name, change in changes.items()})
            .returning(*bulk_requests.c)
        ).one()
        request = _request(row)
        state = request.counts.state()
        if not state.is_finished:
            return None
        self._connection.execute(
            sa.update(bulk_requests)
            .where(bulk_requests.c.id == request_id)
            .values(state=state, finished_at=now)
        )
        return dataclasses.replace(request, state=state, finished_at=now)


def _request(row: Row[Any]) -> BulkRequest:
    return BulkRequest(
        id=row.id,
        kind=RequestKind(row.kind),
        identity_type=IdentityType(row.identity_type) if row.identity_type else None,
        state=RequestState(row.state),
        counts=Counts(**{name: getattr(row, name) for name in COUNTS}),
        on_conflict=OnConflict(row.on_conflict) if row.on_conflict else None,
        requested_by=row.requested_by,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
