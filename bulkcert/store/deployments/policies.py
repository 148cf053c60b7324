"""VPN policies."""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import AlreadyExists, NotFound
from bulkcert.store.readable import all_readable, refuse_unknown
from bulkcert.store.sql import cursors
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.deployments import vpn_policies
from bulkcert.values.deployments import KeptPolicy
from bulkcert.values.pages import Page
from bulkcert.values.policies import VpnPolicy

_PAGE_BYTES = 1024**2
"""Limit of a page: a parsed document takes many times its bytes in memory."""

_ALIVE = vpn_policies.c.deleted_at.is_(None)


class Policies:
    """Rows of VPN policies."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, policy: VpnPolicy, created_by: str, now: datetime) -> KeptPolicy:
        """Insert a policy, or raise `AlreadyExists` if another one has its name."""
        self._refuse_name(policy.name, None)
        row = self._connection.execute(
            sa.insert(vpn_policies)
            .values(version=1, created_by=created_by, created_at=now, updated_at=now, **_columns(policy))
            .returning(*vpn_policies.c)
        ).one()
        return _kept(row)

    def count(self) -> int:
        """Return the number of policies that are not deleted."""
        query = sa.select(sa.func.count()).select_from(vpn_policies).where(_ALIVE)
        return int(self._connection.execute(query).scalar_one())

    def replace(self, policy_id: int, policy: VpnPolicy, now: datetime) -> KeptPolicy:
        """Replace a policy, or raise `NotFound` or `AlreadyExists`."""
        self._refuse_name(policy.name, policy_id)
        row = self._connection.execute(
            sa.update(vpn_policies)
            .where(vpn_policies.c.id == policy_id, _ALIVE)
            .values(version=vpn_policies.c.version + 1, updated_at=now, **_columns(policy))
            .returning(*vpn_policies.c)
        ).first()
        return _kept(_found(row))

    def delete(self, policy_id: int, now: datetime) -> KeptPolicy:
        """Delete a policy, or raise `NotFound`. Its row stays for the history of its deployments."""
        row = self._connection.execute(
            sa.update(vpn_policies)
            .where(vpn_policies.c.id == policy_id, _ALIVE)
            .values(deleted_at=now)
            .returning(*vpn_policies.c)
        ).first()
        return _kept(_found(row))

    def find(self, policy_id: int) -> KeptPolicy:
        """Return a policy, or raise `NotFound`."""
        query = sa.select(vpn_policies).where(vpn_policies.c.id == policy_id, _ALIVE)
        return _kept(_found(self._connection.execute(query).first()))

    def page(self, limit: int, cursor: str | None) -> Page[KeptPolicy]:
        """Return a page of policies, oldest first."""
        # Read the sizes first: a document may take a megabyte, and a driver may fetch all rows at once.
        column = vpn_policies.c
        query = sa.select(column.id, sa.func.length(column.document)).where(_ALIVE)
        if cursor is not None:
            query = query.where(column.id > cursors.read_number(cursor))
        sizes = self._connection.execute(query.order_by(column.id).limit(limit + 1))
        fitting = cursors.page(((number, size, number) for number, size in sizes), limit, _PAGE_BYTES)
        rows = self._connection.execute(
            sa.select(vpn_policies).where(column.id.in_(fitting.items)).order_by(column.id)
        )
        return Page(tuple(all_readable(_kept, rows)), fitting.next_cursor)

    def _refuse_name(self, name: str, but_of: int | None) -> None:
        query = sa.select(vpn_policies.c.id).where(vpn_policies.c.name == name, _ALIVE)
        if self._connection.execute(query).scalar_one_or_none() not in {None, but_of}:
            raise AlreadyExists("There is a VPN policy of this name.")


def _columns(policy: VpnPolicy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "identity_type": policy.identity_type,
        "content_digest": policy.content_digest(),
        "document": json.dumps(policy.document()),
    }


def _found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise NotFound("There is no such VPN policy.")
    return row


@refuse_unknown("VPN policy")
def _kept(row: Row[Any]) -> KeptPolicy:
    policy = VpnPolicy.from_document(json.loads(row.document))
    return value_of(KeptPolicy, row, policy=policy)
