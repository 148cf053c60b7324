"""Deployments leased by the built-in deployer, and their changes after events of devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.access.signatures import Signatures
from bulkcert.store.tables.deployment_states import ENDED_LEASE, NO_ERROR, READY
from bulkcert.store.tables.deployments import deployments
from bulkcert.store.tables.mdm import mdm_commands, mdm_devices, mdm_identities
from bulkcert.values.mdm import DEPLOYER, CommandStatus
from bulkcert.values.policies import DeploymentState

_COLUMN = deployments.c


@dataclass(frozen=True)
class DeviceLease:
    """A leased deployment, and the device that is pinned to its identity."""

    deployment_id: int
    lease: str
    udid: str


class MdmLeases:
    """Leases of the built-in deployer."""

    def __init__(self, connection: Connection, signatures: Signatures) -> None:
        self._connection = connection
        self._signatures = signatures

    def udids(self, deployment_ids: Sequence[int]) -> dict[int, str]:
        """Return the UDIDs of the devices of deployments."""
        query = sa.select(_COLUMN.id, mdm_identities.c.udid).select_from(_mapped())
        return {
            row.id: row.udid for row in self._connection.execute(query.where(_COLUMN.id.in_(deployment_ids)))
        }

    def proven_udids(self, deployment_ids: Sequence[int]) -> dict[int, str]:
        """Return the UDIDs of the devices of deployments, without altered or contested pins."""
        query = sa.select(_COLUMN.id.label("deployment_id"), mdm_identities).select_from(_mapped())
        return {
            row.deployment_id: row.udid
            for row in self._connection.execute(query.where(_COLUMN.id.in_(deployment_ids)))
            if row.contender_udid is None and self._signatures.is_genuine(mdm_identities, row)
        }

    def renew(self, deployment_id: int, lease: str, until: datetime) -> bool:
        """Extend a lease, even an expired one, unless another took over; return whether it was extended.

        The deployment is locked until the transaction ends in either case.
        """
        query = sa.select(_COLUMN.lease, _COLUMN.leased_by).where(_COLUMN.id == deployment_id)
        row = self._connection.execute(query.with_for_update()).first()
        if row is None or row.lease != lease or row.leased_by != DEPLOYER:
            return False
        self._set(deployment_id, leased_until=until)
        return True

    def renew_due(self, before: datetime, until: datetime, most: int) -> list[DeviceLease]:
        """Extend leases that end before a time, and return them: their devices have been silent for long."""
        found = self._connection.execute(
            sa.select(_COLUMN.id, _COLUMN.lease, mdm_identities.c.udid)
            .select_from(_mapped())
            .where(*_is_due(before))
            .order_by(_COLUMN.leased_until, _COLUMN.id)
            .limit(most)
            .with_for_update(skip_locked=True, of=deployments)
        )
        leases = [DeviceLease(row.id, row.lease, row.udid) for row in found]
        if leases:
            self._connection.execute(
                sa.update(deployments)
                .where(_COLUMN.id.in_([each.deployment_id for each in leases]))
                .values(leased_until=until)
            )
        return leases

    def is_due(self, before: datetime) -> bool:
        """Return whether `renew_due` would find a lease."""
        query = sa.select(_COLUMN.id).select_from(_mapped()).where(*_is_due(before)).limit(1)
        return self._connection.execute(query).first() is not None

    def note(self, deployment_ids: Sequence[int], code: str | None, detail: str | None) -> None:
        """Record the obstacle of deployments, or None; their states stay."""
        if deployment_ids:
            self._connection.execute(
                sa.update(deployments)
                .where(_COLUMN.id.in_(deployment_ids))
                .values(error_code=code, error_detail=detail)
            )

    def note_ready(self, code: str, detail: str, now: datetime) -> None:
        """Record the obstacle of deployments that have a command to send, or are ready and not leased."""
        is_free = sa.or_(_COLUMN.leased_until.is_(None), _COLUMN.leased_until <= now)
        is_pending = _COLUMN.state.in_((DeploymentState.PENDING, DeploymentState.REMOVING))
        is_ready = sa.and_(is_pending, _COLUMN.not_before <= now, is_free, is_reachable())
        has_command = sa.exists().where(
            mdm_commands.c.deployment_id == _COLUMN.id,
            mdm_commands.c.lease == _COLUMN.lease,
            mdm_commands.c.status == CommandStatus.WAITING,
        )
        is_news = sa.or_(
            _COLUMN.error_code.is_distinct_from(code), _COLUMN.error_detail.is_distinct_from(detail)
        )
        self._connection.execute(
            sa.update(deployments)
            .where(sa.or_(is_ready, has_command), is_news)
            .values(error_code=code, error_detail=detail)
        )

    def clear(self, deployment_ids: Sequence[int], codes: Sequence[str]) -> None:
        """Clear the obstacle of deployments if it is one of these codes."""
        if deployment_ids:
            self._connection.execute(
                sa.update(deployments)
                .where(_COLUMN.id.in_(deployment_ids), _COLUMN.error_code.in_(codes))
                .values(NO_ERROR)
            )

    def begin_anew(self, udid: str, before: datetime, now: datetime) -> None:
        """Deploy everything again on a device that lost its profiles. before: later changes are kept."""
        states = ("LEASED", "DELIVERED", "INSTALLED", "FAILED", "REMOVING")
        self._connection.execute(
            sa.update(deployments)
            .where(
                _is_on(udid),
                _COLUMN.state.in_([DeploymentState[name] for name in states]),
                _COLUMN.updated_at < before,
            )
            .values(
                state=READY,
                installed_certificate_id=None,
                attempts=0,
                not_before=now,
                updated_at=now,
                **ENDED_LEASE,
                **NO_ERROR,
            )
        )

    def leaving(self, udid: str) -> list[int]:
        """Return the ids of deployments that are to be removed from a device."""
        query = sa.select(_COLUMN.id).where(_is_on(udid), _COLUMN.state == DeploymentState.REMOVING)
        return list(self._connection.execute(query.order_by(_COLUMN.id)).scalars())

    def look_again(self, deployment_id: int, now: datetime, *, after_removal: bool) -> None:
        """Plan a deployment again whose observed state is outdated: the device changed its profiles since."""
        ended = {DeploymentState.INSTALLED: DeploymentState.PENDING}
        if not after_removal:
            ended[DeploymentState.REMOVED] = DeploymentState.REMOVING
        for before, after in ended.items():
            self._connection.execute(
                sa.update(deployments)
                .where(_COLUMN.id == deployment_id, _COLUMN.state == before)
                .values(state=after, attempts=0, not_before=now, updated_at=now)
            )

    def _set(self, deployment_id: int, **values: object) -> None:
        self._connection.execute(
            sa.update(deployments).where(_COLUMN.id == deployment_id).values(values)
        )  # fmt: skip


def _mapped() -> sa.Join:
    return deployments.join(
        mdm_identities,
        sa.and_(
            mdm_identities.c.identity_type == _COLUMN.identity_type,
            mdm_identities.c.identity == _COLUMN.identity,
        ),
    )


def _is_due(before: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    states = (DeploymentState.LEASED, DeploymentState.DELIVERED, DeploymentState.REMOVING)
    return _COLUMN.state.in_(states), _COLUMN.leased_by == DEPLOYER, _COLUMN.leased_until <= before


def _is_on(udid: str) -> sa.ColumnElement[bool]:
    """Return a condition: the identity of the deployment is pinned to the device and uncontested."""
    return sa.exists().where(
        mdm_identities.c.identity_type == _COLUMN.identity_type,
        mdm_identities.c.identity == _COLUMN.identity,
        mdm_identities.c.udid == udid,
        mdm_identities.c.contender_udid.is_(None),
    )


def is_contested() -> sa.ColumnElement[bool]:
    """Return a condition: two devices claim the identity of the deployment."""
    return sa.exists().where(
        mdm_identities.c.identity_type == _COLUMN.identity_type,
        mdm_identities.c.identity == _COLUMN.identity,
        mdm_identities.c.contender_udid.is_not(None),
    )


def is_reachable() -> sa.ColumnElement[bool]:
    """Return a condition: the device of the deployment is enrolled, and its identity is uncontested."""
    return sa.exists().where(
        mdm_identities.c.identity_type == _COLUMN.identity_type,
        mdm_identities.c.identity == _COLUMN.identity,
        mdm_identities.c.contender_udid.is_(None),
        mdm_devices.c.udid == mdm_identities.c.udid,
        mdm_devices.c.is_enrolled,
    )
