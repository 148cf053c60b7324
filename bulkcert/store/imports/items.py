"""Items of bulk requests: one row for each device."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import DeletedMeanwhile
from bulkcert.errors.file_kinds import FileKind
from bulkcert.store.imports.requests import ACTIVE
from bulkcert.store.readable import all_readable, refuse_unknown
from bulkcert.store.sql import cursors, lists
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.imports import bulk_requests, items
from bulkcert.values.bulk_requests import Item, Outcome, RequestKind, Result
from bulkcert.values.certificates import WarningCode
from bulkcert.values.identities import IdentityType
from bulkcert.values.pages import Page

_LAST_POSITION = 2**31 - 1  # of a column of 32 bits
_AT_ONCE = 5000  # rows: a few hundred kilobytes of text


@dataclass(frozen=True)
class KeptItem:
    """An item, with the columns that no report shows."""

    item: Item
    public_key_sha256: str | None = None
    previous_certificate_id: int | None = None


class Items:
    """Rows of the items of bulk requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, request_id: str, new: Iterable[Item]) -> None:
        """Insert items, with their results if they already have one."""
        rows = (
            {"position": item.position, "file": item.file, "identity": item.identity, "line": item.line}
            | _result_columns(item.result)
            for item in new
        )
        while some := list(islice(rows, _AT_ONCE)):
            lists.insert(self._connection, items, some, request_id=request_id)

    def page(
        self,
        request_id: str,
        outcome: Outcome | None,
        limit: int,
        cursor: str | None,
        code: str | None = None,
    ) -> Page[Item]:
        """Return a page of the items of a request in their order, or of those with an outcome or a code.

        Raises `ForgedRows` for an item that cannot be read: a report is whole, or refused.
        """
        query = sa.select(items).where(items.c.request_id == request_id)
        if outcome is not None:
            query = query.where(items.c.outcome == outcome)
        if code is not None:
            query = query.where(items.c.code == code)
        if cursor is not None:
            query = query.where(items.c.position > cursors.read_number(cursor, _LAST_POSITION))
        rows = self._connection.execute(query.order_by(items.c.position).limit(limit + 1))
        return cursors.page(((row.position, cursors.size_of(row), _item(row)) for row in rows), limit)

    def waiting(self, request_id: str, positions: Sequence[int]) -> dict[int, Item]:
        """Lock and return those of the given items that have no result yet, by position."""
        rows = self._connection.execute(
            sa.select(items)
            .where(
                items.c.request_id == request_id,
                items.c.position.in_(lists.numbers(self._connection, positions)),
                items.c.outcome.is_(None),
            )
            .order_by(items.c.position)  # always in this order, so that two transactions cannot deadlock
            .with_for_update()
        )
        return {row.position: _item(row) for row in rows}

    def of_keys(self, request_id: str, public_keys: Sequence[str]) -> list[KeptItem]:
        """Return the opened items of a request with one of the given public keys."""
        rows = self._connection.execute(
            sa.select(items).where(
                items.c.request_id == request_id,
                items.c.public_key_sha256.in_(lists.texts(self._connection, public_keys)),
            )
        )
        return all_readable(_kept_item, rows)

    def finish(self, request_id: str, ended: Iterable[KeptItem]) -> None:
        """Update the results of items."""
        rows = [
            {
                "position": kept.item.position,
                "public_key_sha256": kept.public_key_sha256,
                "previous_certificate_id": kept.previous_certificate_id,
            }
            | _result_columns(kept.item.result)
            for kept in ended
        ]
        lists.update(self._connection, items, "position", rows, request_id=request_id)

    def waiting_of(self, identity_type: IdentityType, identities: Sequence[str]) -> list[str]:
        """Return those of some devices for which unfinished imports would still keep a certificate."""
        query = sa.select(items.c.identity).where(*self._waits(identity_type, identities))
        return [identity for identity in self._connection.execute(query).scalars() if identity]

    def fail_waiting(
        self, identity_type: IdentityType, identities: Sequence[str], detail: str
    ) -> dict[str, list[str]]:
        """Fail the items of unfinished imports for some devices; return the identities, by import.

        The items are locked in the order in which workers lock them, so that the two cannot deadlock. Only
        locked items are changed, even if others came meanwhile.
        """
        locked = (
            sa.select(items.c.request_id, items.c.position)
            .where(*self._waits(identity_type, identities))
            .order_by(items.c.request_id, items.c.position)
            .with_for_update()
            .cte("locked")
        )
        rows = self._connection.execute(
            sa.update(items)
            .where(items.c.request_id == locked.c.request_id, items.c.position == locked.c.position)
            .values(outcome=Outcome.FAILED, code=DeletedMeanwhile.code, detail=detail)
            .returning(items.c.request_id, items.c.identity)
        )
        failed: dict[str, list[str]] = {}
        for row in rows:
            failed.setdefault(row.request_id, []).append(row.identity)
        return failed

    def _waits(
        self, identity_type: IdentityType, identities: Sequence[str]
    ) -> tuple[sa.ColumnElement[bool], ...]:  # fmt: skip
        # A dry run keeps nothing that could be deleted.
        would_keep = sa.exists().where(
            bulk_requests.c.id == items.c.request_id,
            bulk_requests.c.kind == RequestKind.IMPORT,
            bulk_requests.c.identity_type == identity_type,
            bulk_requests.c.state.in_(ACTIVE),
            bulk_requests.c.validate_only.is_(False),
        )
        return (
            items.c.outcome.is_(None),
            items.c.identity.in_(lists.texts(self._connection, identities)),
            would_keep,
        )

    def cancel_waiting(self, request_id: str, kept: Sequence[range], code: str, detail: str) -> int:
        """Fail every item of a request without a result, except in some ranges; return their number."""
        positions = items.c.position
        result = self._connection.execute(
            sa.update(items)
            .where(items.c.request_id == request_id, items.c.outcome.is_(None))
            .where(*(~positions.between(some[0], some[-1]) for some in kept))
            .values(outcome=Outcome.FAILED, code=code, detail=detail)
        )
        return int(result.rowcount)

    def waiting_positions(self, request_id: str, first: int, last: int) -> frozenset[int]:
        """Return the positions in a range whose items have no result yet."""
        rows = self._connection.execute(
            sa.select(items.c.position).where(
                items.c.request_id == request_id,
                items.c.position.between(first, last),
                items.c.outcome.is_(None),
            )
        )
        return frozenset(rows.scalars())


def _result_columns(result: Result | None) -> dict[str, Any]:
    if result is None:
        names = ("outcome", "code", "detail", "warnings", "certificate_id", "fingerprint_sha256", "found")
        return dict.fromkeys(names)
    return {
        "outcome": result.outcome,
        "code": result.code,
        "detail": result.detail,
        "warnings": json.dumps(result.warnings) if result.warnings else None,
        "certificate_id": result.certificate_id,
        "fingerprint_sha256": result.fingerprint_sha256,
        "found": result.found,
    }


@refuse_unknown("item of")
def _item(row: Row[Any]) -> Item:
    if row.outcome is None:
        return Item(row.position, row.file, row.identity, line=row.line)
    warnings = tuple(WarningCode(word) for word in json.loads(row.warnings)) if row.warnings else ()
    found = FileKind(row.found) if row.found else None
    result = value_of(Result, row, outcome=Outcome(row.outcome), warnings=warnings, found=found)
    return Item(row.position, row.file, row.identity, result, row.line)


def _kept_item(row: Row[Any]) -> KeptItem:
    return KeptItem(_item(row), row.public_key_sha256, row.previous_certificate_id)
