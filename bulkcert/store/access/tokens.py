"""Issued tokens: one row each, so that each can be revoked."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.store.access.signatures import Signatures
from bulkcert.store.sql import cursors
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.access import principals, tokens
from bulkcert.values.pages import Page
from bulkcert.values.principals import Session, known_scopes

MOST_OF_ONE = 1000
"""Most tokens of one user or client; one token serves any number of requests."""


class Tokens:
    """Rows of issued tokens."""

    def __init__(self, connection: Connection, signatures: Signatures) -> None:
        self._connection = connection
        self._signatures = signatures

    def insert(self, session: Session) -> None:
        """Insert a token of its principal's generation; of the earlier ones, the newest 999 stay.

        The principal's row must be locked (`Principals.find` with `lock`); otherwise a change may be missed.
        """
        generation = sa.select(principals.c.generation).where(principals.c.id == session.principal_id)
        values = {
            "id": session.token_id,
            "principal_id": session.principal_id,
            "scopes": " ".join(sorted(session.scopes)),
            "generation": self._connection.execute(generation).scalar_one(),
            "issued_at": session.issued_at,
            "expires_at": session.expires_at,
            "last_used_at": session.issued_at,
        }
        mac = self._signatures.mac(tokens, values)
        self._connection.execute(sa.insert(tokens).values({**values, "mac": mac}))
        column = tokens.c
        oldest = (
            sa.select(column.id)
            .where(column.principal_id == session.principal_id, column.id != session.token_id)
            .order_by(column.issued_at.desc(), column.id)
            .offset(MOST_OF_ONE - 1)
        )
        self._connection.execute(sa.delete(tokens).where(column.id.in_(oldest)))

    def find(
        self, token_id: str, now: datetime, used_after: datetime | None
    ) -> tuple[Session, datetime] | None:
        """Return a token that is valid at `now`, with the time of its last use; else None.

        A token is valid unless it has ended, was revoked, is of another generation than its principal,
        belongs to a disabled principal, was last used before `used_after`, or unless its row or that of its
        principal was altered.
        """
        query = _valid(now, used_after).add_columns(*_OTHERS).where(tokens.c.id == token_id)
        row = self._connection.execute(query).first()
        if row is None or not all(self._signatures.is_genuine(table, row) for table in (tokens, principals)):
            return None
        return _session(row), row.last_used_at

    def page(
        self,
        principal_id: int | None,
        now: datetime,
        used_after: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> Page[Session]:
        """Return a page of valid tokens, of one principal or of all."""
        query = _valid(now, used_after)
        if principal_id is not None:
            query = query.where(tokens.c.principal_id == principal_id)
        if cursor is not None:
            query = query.where(tokens.c.id > cursors.read_text(cursor))
        rows = self._connection.execute(query.order_by(tokens.c.id).limit(limit + 1))
        return cursors.page(((row.id, cursors.size_of(row), _session(row)) for row in rows), limit)

    def touch(self, token_id: str, now: datetime) -> None:
        """Record the use of a token."""
        self._connection.execute(sa.update(tokens).where(tokens.c.id == token_id).values(last_used_at=now))

    def revoke(self, token_id: str, principal_id: int | None, now: datetime) -> bool:
        """Revoke a token, of one principal or of anybody; return whether there was one to revoke."""
        query = sa.update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
        if principal_id is not None:
            query = query.where(tokens.c.principal_id == principal_id)
        return bool(self._connection.execute(query.values(revoked_at=now)).rowcount)

    def delete_ended(self, before: datetime) -> None:
        """Delete tokens that ended before a time."""
        self._connection.execute(sa.delete(tokens).where(tokens.c.expires_at < before))


_OTHERS = tuple(column for column in principals.c if column is not principals.c.login)
"""The columns of principals that `_valid` does not select."""


def _valid(now: datetime, used_after: datetime | None) -> sa.Select[Any]:
    query = sa.select(tokens, principals.c.login).join(principals).where(
        tokens.c.revoked_at.is_(None),
        tokens.c.expires_at > now,
        tokens.c.generation == principals.c.generation,
        principals.c.is_disabled.is_(False),
    )  # fmt: skip
    return query if used_after is None else query.where(tokens.c.last_used_at >= used_after)


def _session(row: Row[Any]) -> Session:
    return value_of(Session, row, token_id=row.id, scopes=known_scopes(row.scopes))
