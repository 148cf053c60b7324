"""Turns: the order of imports, by the time that each principal has used so far.

Each principal (by login) has a virtual time, to which the time of its imports is added; the least is first.
Within a principal each import has one, by the same rule (start-time fair queueing: Goyal, Vin, Cheng 1996).
A newcomer begins at the least virtual time of those that wait, so that idle time is not saved up. Among equal
times the oldest import is first. Imports with many files that are too costly come after all others.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.sql.upserts import insert_if_absent
from bulkcert.store.tables.imports import bulk_requests, chunks, shares
from bulkcert.values.budgets import MOST_TOO_COSTLY_IN_TURN, SLICE_SECONDS, Account, Cost
from bulkcert.values.bulk_requests import OnConflict, RequestKind, RequestState
from bulkcert.values.identities import IdentityType

_is_in_turn = bulk_requests.c.too_costly < MOST_TOO_COSTLY_IN_TURN
_is_unfinished = bulk_requests.c.finished_at.is_(None)
_is_readable = sa.and_(
    bulk_requests.c.kind.in_(list(RequestKind)),
    bulk_requests.c.state.in_(list(RequestState)),
    *(
        sa.or_(column.is_(None), column.in_(list(words)))
        for column, words in (
            (bulk_requests.c.identity_type, IdentityType),
            (bulk_requests.c.on_conflict, OnConflict),
        )
    ),
)
"""Other rows were altered: work on them would fail without end and block the imports behind them."""

_SLICE_MS = round(SLICE_SECONDS * 1000)


class Turns:
    """Virtual times of principals and imports."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def join(self, import_id: str, requested_by: str) -> None:
        """Set the first virtual time of a new import, and of its principal if no other import of it waits."""
        others = sa.and_(_is_unfinished, _is_in_turn, bulk_requests.c.id != import_id)
        own = sa.and_(others, bulk_requests.c.requested_by == requested_by)
        least = self._connection.execute(
            sa.select(sa.func.min(bulk_requests.c.virtual_ms)).where(own)
        ).scalar_one()
        if least is None:
            self._lift(requested_by, self._least_waiting(others))
        elif least:
            self._connection.execute(
                sa.update(bulk_requests).where(bulk_requests.c.id == import_id).values(virtual_ms=least)
            )

    def charge(self, cost: Cost) -> None:
        """Add the time spent opening files. Call it last, because it locks the principal's row."""
        used = cost.milliseconds
        self._connection.execute(
            sa.update(bulk_requests)
            .where(bulk_requests.c.id == cost.import_id)
            .values(
                used_ms=bulk_requests.c.used_ms + used,
                virtual_ms=bulk_requests.c.virtual_ms + used,
                too_costly=bulk_requests.c.too_costly + cost.too_costly,
            )
        )
        self._insert(cost.requested_by, 0)
        self._connection.execute(
            sa.update(shares)
            .where(shares.c.requested_by == cost.requested_by)
            .values(virtual_ms=shares.c.virtual_ms + used)
        )

    def account(self, import_id: str) -> Account:
        """Return the time that an import has used, and whether it was cancelled."""
        row = self._connection.execute(
            sa.select(
                bulk_requests.c.requested_by,
                bulk_requests.c.total,
                bulk_requests.c.used_ms,
                bulk_requests.c.too_costly,
                bulk_requests.c.is_cancelled,
            ).where(bulk_requests.c.id == import_id)
        ).one()
        return Account(row.requested_by, row.total, row.used_ms / 1000, row.too_costly, row.is_cancelled)

    def _least_waiting(self, others: sa.ColumnElement[bool]) -> int:
        """Return the least virtual time of waiting principals; if none waits, the greatest of all."""
        waiting = sa.select(bulk_requests.c.requested_by).where(others)
        least = self._connection.execute(
            sa.select(sa.func.min(shares.c.virtual_ms)).where(shares.c.requested_by.in_(waiting))
        ).scalar_one()
        if least is None:
            least = self._connection.execute(sa.select(sa.func.max(shares.c.virtual_ms))).scalar_one()
        return least or 0

    def _lift(self, requested_by: str, least: int) -> None:
        self._insert(requested_by, least)
        self._connection.execute(
            sa.update(shares)
            .where(shares.c.requested_by == requested_by, shares.c.virtual_ms < least)
            .values(virtual_ms=least)
        )

    def _insert(self, requested_by: str, virtual_ms: int) -> None:
        row = {"requested_by": requested_by, "virtual_ms": virtual_ms}
        insert_if_absent(self._connection, shares, row, shares.c.requested_by)


def in_turn(has_work: sa.ColumnElement[bool], now: datetime, unpaid: Cost | None) -> sa.Select[tuple[str]]:
    """Return a query of the ids of unfinished imports for which `has_work` is true, in the order of turns.

    A chunk leased by another worker counts as a slice of time.

    Args:
        has_work: a condition on imports.
        now: the time, which decides whether a chunk is leased.
        unpaid: time that this worker has used and not charged yet; it counts as charged.
    """
    in_hand = _in_hand(now, unpaid)
    slices = sa.func.coalesce(in_hand.c.chunks, 0) * _SLICE_MS
    of_principal: sa.ColumnElement[int] = sa.func.coalesce(shares.c.virtual_ms, 0) + slices
    of_import: sa.ColumnElement[int] = bulk_requests.c.virtual_ms
    if unpaid is not None:
        of_principal += _if(bulk_requests.c.requested_by == unpaid.requested_by, unpaid.milliseconds)
        of_import += _if(bulk_requests.c.id == unpaid.import_id, unpaid.milliseconds)
    return (
        sa.select(bulk_requests.c.id)
        .outerjoin(shares, shares.c.requested_by == bulk_requests.c.requested_by)
        .outerjoin(in_hand, in_hand.c.requested_by == bulk_requests.c.requested_by)
        .where(_is_unfinished, _is_readable, has_work)
        .order_by(_if(~_is_in_turn, 1), of_principal, of_import, bulk_requests.c.id)
    )


def _in_hand(now: datetime, unpaid: Cost | None) -> sa.Subquery:
    """Return a query of the number of chunks of each principal that other workers have leased."""
    query = (
        sa.select(bulk_requests.c.requested_by, sa.func.count().label("chunks"))
        .join(chunks, chunks.c.request_id == bulk_requests.c.id)
        .where(chunks.c.leased_until >= now)
        .group_by(bulk_requests.c.requested_by)
    )
    if unpaid is not None:
        query = query.where(chunks.c.id != unpaid.chunk_id)
    return query.subquery()


def _if(condition: sa.ColumnElement[bool], value: int) -> sa.ColumnElement[int]:
    return sa.case((condition, value), else_=0)
