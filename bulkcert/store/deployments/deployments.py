"""Deployments: lists, leases, and changes of state by the owner of a lease."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import NotFound
from bulkcert.errors.policies import LeaseLost
from bulkcert.store.mdm.leases import is_contested, is_reachable
from bulkcert.store.readable import all_readable, readable, refuse_unknown
from bulkcert.store.sql import cursors
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.deployment_states import ENDED_LEASE, IS_LEAVING, NO_ERROR, READY
from bulkcert.store.tables.deployments import deployments, vpn_policies
from bulkcert.values.deployments import Action, Deployment, DeploymentFilter, Lease
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.pages import Page
from bulkcert.values.policies import DeploymentState

_STATES = frozenset(DeploymentState)
_READY = (DeploymentState.PENDING, DeploymentState.FAILED, DeploymentState.REMOVING)
_IN_HAND = (DeploymentState.LEASED, DeploymentState.DELIVERED)
_JOINED = deployments.join(vpn_policies, vpn_policies.c.id == deployments.c.policy_id)
_SAME = deployments.alias()  # the table again, for subqueries
_LISTED = (*deployments.c, vpn_policies.c.name.label("policy_name"))


class Deployments:
    """Rows of deployments; `Planning` inserts them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, deployment_id: int) -> Deployment:
        """Return a deployment, or raise `NotFound`."""
        query = sa.select(*_LISTED).select_from(_JOINED).where(deployments.c.id == deployment_id)
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFound("There is no such deployment.")
        return _deployment(row)

    def page(self, wanted: DeploymentFilter, limit: int, cursor: str | None) -> Page[Deployment]:
        """Return a page of deployments, oldest first."""
        query = sa.select(*_LISTED).select_from(_JOINED).where(*_conditions(wanted))
        if cursor is not None:
            query = query.where(deployments.c.id > cursors.read_number(cursor))
        rows = self._connection.execute(query.order_by(deployments.c.id).limit(limit + 1))
        return cursors.page(
            ((row.id, cursors.size_of(row), readable(_deployment, row)) for row in rows), limit
        )

    def counts(self, wanted: DeploymentFilter) -> Mapping[DeploymentState, int]:
        """Return the numbers of deployments by state, without states that have none."""
        query = sa.select(deployments.c.state, sa.func.count()).where(*_conditions(wanted))
        rows = self._connection.execute(query.group_by(deployments.c.state))
        return {DeploymentState(state): number for state, number in rows if state in _STATES}

    def lease(
        self,
        most: int,
        now: datetime,
        leased_until: datetime,
        leased_by: str,
        policy_id: int | None = None,
    ) -> list[Lease]:
        """Lease deployments that are ready, or whose lease ended; those that wait longest first."""
        conditions = [_is_ready(now), ~is_contested()]
        if policy_id is not None:
            conditions.append(deployments.c.policy_id == policy_id)
        return self._take(conditions, most, now, leased_until, leased_by)

    def _take(
        self,
        conditions: Sequence[sa.ColumnElement[bool]],
        most: int,
        now: datetime,
        leased_until: datetime,
        leased_by: str,
    ) -> list[Lease]:
        found = self._connection.execute(
            sa.select(deployments.c.id)
            .where(*conditions)
            .order_by(deployments.c.not_before, deployments.c.id)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        if not (ids := found.scalars().all()):
            return []
        token = str(uuid.uuid4())
        # A removal keeps its state while it is leased: its certificate is not wanted any more.
        state = sa.case((IS_LEAVING, DeploymentState.REMOVING), else_=DeploymentState.LEASED)
        self._connection.execute(
            sa.update(deployments)
            .where(deployments.c.id.in_(ids))
            .values(
                state=state,
                lease=token,
                leased_until=leased_until,
                leased_by=leased_by,
                attempts=deployments.c.attempts + 1,
                updated_at=now,
            )
        )
        query = sa.select(*_LISTED).select_from(_JOINED).where(deployments.c.lease == token)
        taken = all_readable(_deployment, self._connection.execute(query.order_by(deployments.c.id)))
        return [Lease(each, _action(each), token) for each in taken]

    def leased(
        self, deployment_id: int, token: str, leased_by: str, now: datetime, *, lock: bool = True
    ) -> Deployment:
        """Return a deployment with a live lease, or raise `NotFound` or `LeaseLost`.

        Args:
            deployment_id: the deployment.
            token: the token of the lease.
            leased_by: the owner of the lease.
            now: the time at which the lease must be live.
            lock: whether to lock the deployment until the transaction ends.
        """
        query = (
            sa.select(*_LISTED)
            .select_from(_JOINED)
            .where(
                deployments.c.id == deployment_id,
                deployments.c.lease == token,
                deployments.c.leased_by == leased_by,
                deployments.c.leased_until > now,
            )
        )
        row = self._connection.execute(query.with_for_update(of=deployments) if lock else query).first()
        if row is None:
            self.find(deployment_id)
            raise LeaseLost("The lease has ended, is another's, or the deployment was changed meanwhile.")
        return _deployment(row)

    def hand(self, deployment_ids: Sequence[int], now: datetime) -> None:
        """Record that profiles are handed out: from now on they may be on the devices."""
        self._connection.execute(
            sa.update(deployments)
            .where(deployments.c.id.in_(deployment_ids))
            .values(handed_at=now, updated_at=now)
        )

    def deliver(
        self, deployment_id: int, leased_until: datetime, delivered_at: datetime, now: datetime
    ) -> None:  # fmt: skip
        """Record that a device accepted the profile; the lease continues until it is seen there."""
        self._set(
            deployment_id,
            now,
            state=DeploymentState.DELIVERED,
            leased_until=leased_until,
            delivered_at=delivered_at,
        )

    def install(self, deployment_id: int, now: datetime) -> None:
        """Record that the wanted certificate was seen on the device, and end the lease."""
        self._set(
            deployment_id,
            now,
            state=DeploymentState.INSTALLED,
            installed_certificate_id=deployments.c.certificate_id,
            installed_at=now,
            not_before=None,
            **ENDED_LEASE,
            **NO_ERROR,
        )

    def remove(self, deployment_id: int, now: datetime) -> None:
        """Record that the device has no profile of the policy any more, and end the lease."""
        self._set(
            deployment_id,
            now,
            state=DeploymentState.REMOVED,
            handed_at=None,
            installed_certificate_id=None,
            not_before=None,
            **ENDED_LEASE,
            **NO_ERROR,
        )

    def fail(
        self, deployment_id: int, code: str, detail: str, not_before: datetime | None, now: datetime
    ) -> None:
        """Record a failure and the time of the next try (None: no automatic one), and end the lease."""
        state: Any = DeploymentState.FAILED
        if not_before is not None:
            state = sa.case((IS_LEAVING, DeploymentState.REMOVING), else_=DeploymentState.FAILED)
        self._set(
            deployment_id,
            now,
            state=state,
            error_code=code,
            error_detail=detail,
            not_before=not_before,
            **ENDED_LEASE,
        )

    def give_back(self, deployment_id: int, now: datetime) -> None:
        """End a lease without a result: the deployment is ready as before."""
        attempts = deployments.c.attempts - 1
        self._set(deployment_id, now, state=READY, attempts=attempts, not_before=now, **ENDED_LEASE)

    def contest(self, identity: DeviceIdentity, detail: str, now: datetime) -> int:
        """Stop every deployment of a device until an administrator confirms it; return their number."""
        result = self._connection.execute(
            sa.update(deployments)
            .where(
                deployments.c.identity_type == identity.type,
                deployments.c.identity == identity.value,
                deployments.c.state.not_in((DeploymentState.REMOVED, DeploymentState.SUPERSEDED)),
            )
            .values(
                state=DeploymentState.CONFLICT,
                error_code="conflict",
                error_detail=detail,
                not_before=None,
                updated_at=now,
                **ENDED_LEASE,
            )
        )
        return int(result.rowcount)

    def retry(self, deployment_id: int, stuck: DeploymentState, now: datetime) -> bool:
        """Make a failed or contested deployment ready again; return False if its state has changed."""
        result = self._connection.execute(
            sa.update(deployments)
            .where(deployments.c.id == deployment_id, deployments.c.state == stuck)
            .values(state=READY, attempts=0, not_before=now, updated_at=now, **ENDED_LEASE, **NO_ERROR)
        )
        return bool(result.rowcount)

    def of_device(self, identity: DeviceIdentity) -> list[Deployment]:
        """Return the deployments of a device."""
        conditions = (deployments.c.identity_type == identity.type, deployments.c.identity == identity.value)
        query = sa.select(*_LISTED).select_from(_JOINED).where(*conditions).order_by(deployments.c.id)
        return all_readable(_deployment, self._connection.execute(query))

    def lease_mapped(
        self, most: int, now: datetime, leased_until: datetime, leased_by: str
    ) -> list[Lease]:  # fmt: skip
        """Lease deployments as `lease` does, but only for devices enrolled in the MDM server.

        Leases of this deployer, ended or not, are not taken again (see `MdmLeases.renew_due`).
        """
        others = deployments.c.leased_by.is_distinct_from(leased_by)
        return self._take([_is_ready(now), is_reachable(), others], most, now, leased_until, leased_by)

    def _set(self, deployment_id: int, now: datetime, **values: object) -> None:
        self._connection.execute(
            sa.update(deployments).where(deployments.c.id == deployment_id).values(updated_at=now, **values)
        )


def _action(taken: Deployment) -> Action:
    return Action.REMOVE if taken.state is DeploymentState.REMOVING else Action.INSTALL


def _is_ready(now: datetime) -> sa.ColumnElement[bool]:
    column = deployments.c
    is_free = sa.or_(column.leased_until.is_(None), column.leased_until <= now)
    return sa.or_(
        sa.and_(column.state.in_(_READY), column.not_before <= now, is_free),
        sa.and_(column.state.in_(_IN_HAND), column.leased_until <= now),
    )


def _conditions(wanted: DeploymentFilter) -> list[sa.ColumnElement[bool]]:
    pairs = (
        (deployments.c.state, wanted.state),
        (deployments.c.policy_id, wanted.policy_id),
        (deployments.c.identity_type, wanted.identity_type),
    )
    conditions = [column == value for column, value in pairs if value is not None]
    if wanted.identity is not None:
        # A subquery that uses the index on type and identity: SQLite would otherwise walk all rows.
        types = [wanted.identity_type] if wanted.identity_type else list(IdentityType)
        of_device = _SAME.c.identity_type.in_(types), _SAME.c.identity == wanted.identity
        conditions.append(deployments.c.id.in_(sa.select(_SAME.c.id).where(*of_device)))
    return conditions


@refuse_unknown("deployment")
def _deployment(row: Row[Any]) -> Deployment:
    identity = DeviceIdentity(IdentityType(row.identity_type), row.identity)
    return value_of(Deployment, row, identity=identity, state=DeploymentState(row.state))
