"""Planning of deployments by the database: a few statements for any number of devices.

A device with a current certificate has a deployment for each policy that serves it. If the certificate or the
content of the policy changes, the deployment is pending again and its lease is lost. If the policy no longer
serves the device, the deployment is superseded, or the profile is to be removed.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.store.certificates.certificates import DEVICE
from bulkcert.store.readable import readable, refuse_unknown
from bulkcert.store.sql.lists import texts
from bulkcert.store.tables.certificates import certificates
from bulkcert.store.tables.deployment_states import ENDED_LEASE, NO_ERROR
from bulkcert.store.tables.deployments import deployments, vpn_policies
from bulkcert.values.certificates import CertificateState
from bulkcert.values.identities import IdentityType
from bulkcert.values.policies import DeploymentState

_ENDED = (DeploymentState.REMOVED, DeploymentState.SUPERSEDED)
_LEAVING = (*_ENDED, DeploymentState.REMOVING)
_WAS_LEFT = deployments.c.state == DeploymentState.SUPERSEDED


class Planning:
    """Brings deployments into line with policies and certificates."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def plan_devices(
        self, identity_type: IdentityType, identities: Sequence[str], now: datetime, *, removes: bool = False
    ) -> None:
        """Plan deployments of some devices whose certificates changed, under every policy.

        Args:
            identity_type: the type of the identities.
            identities: the devices.
            now: the time of the change.
            removes: whether profiles are to be removed from devices that have no certificate any more.
        """
        if not identities:
            return
        column = vpn_policies.c
        concerned: list[sa.ColumnElement[bool]] = [column.deleted_at.is_(None)]
        if removes:  # deleted policies matter only if their profiles may still be on devices
            is_left = deployments.c.state != DeploymentState.REMOVED
            concerned.append(sa.exists().where(deployments.c.policy_id == column.id, is_left))
        query = sa.select(column.id).where(column.identity_type == identity_type, sa.or_(*concerned))
        # One at a time: a document may take a megabyte.
        for policy_id in self._connection.execute(query.order_by(column.id)).scalars().all():
            row = self._connection.execute(sa.select(vpn_policies).where(column.id == policy_id)).one()
            self._plan(row, identities, now, removes=removes)

    def plan_policy(self, policy_id: int, now: datetime, *, removes: bool = False) -> None:
        """Plan deployments of every device under one policy, which may be deleted."""
        row = self._connection.execute(sa.select(vpn_policies).where(vpn_policies.c.id == policy_id)).one()
        self._plan(row, None, now, removes=removes)

    def _plan(self, row: Row[Any], identities: Sequence[str] | None, now: datetime, *, removes: bool) -> None:
        served = None
        if row.deleted_at is None:
            if (named := readable(_named, row)) is None:
                return
            served = self._served(row, *named)
        own, listed = [deployments.c.policy_id == row.id], []
        if identities is not None:
            own.append(deployments.c.identity.in_(texts(self._connection, identities)))
            listed = [certificates.c.identity.in_(texts(self._connection, identities))]
        if served is not None:
            self._add(row, [*served, *listed], now)
            self._change(row, [*served, *own], now)
        self._end(own, served, now, removes=removes)

    def _served(
        self, row: Row[Any], issuer: str | None, identities: Sequence[str] | None
    ) -> list[sa.ColumnElement[bool]]:  # fmt: skip
        """Return the conditions on certificates that a policy serves, as in `VpnPolicy.serves`."""
        served = [
            certificates.c.kind == DEVICE,
            certificates.c.state == CertificateState.CURRENT,
            certificates.c.identity_type == row.identity_type,
        ]
        if issuer is not None:
            served.append(certificates.c.issuer.icontains(issuer, autoescape=True))
        if identities is not None:
            served.append(certificates.c.identity.in_(texts(self._connection, identities)))
        return served

    def _add(self, row: Row[Any], served: list[sa.ColumnElement[bool]], now: datetime) -> None:
        known = (
            sa.select(deployments.c.id)
            .where(
                deployments.c.policy_id == row.id,
                deployments.c.identity_type == certificates.c.identity_type,
                deployments.c.identity == certificates.c.identity,
            )
            .exists()
        )
        values = {
            "policy_id": sa.literal(row.id),
            "identity_type": certificates.c.identity_type,
            "identity": certificates.c.identity,
            "certificate_id": certificates.c.id,
            "content_digest": sa.literal(row.content_digest),
            "state": sa.literal(str(DeploymentState.PENDING)),
            "attempts": sa.literal(0),
            "not_before": sa.literal(now, deployments.c.not_before.type),
            "created_at": sa.literal(now, deployments.c.created_at.type),
            "updated_at": sa.literal(now, deployments.c.updated_at.type),
        }
        wanted = sa.select(*values.values()).where(*served, ~known).order_by(certificates.c.id)
        self._connection.execute(sa.insert(deployments).from_select(list(values), wanted))

    def _change(self, row: Row[Any], which: list[sa.ColumnElement[bool]], now: datetime) -> None:
        is_contested = deployments.c.state == DeploymentState.CONFLICT  # ended only by an administrator
        self._connection.execute(
            sa.update(deployments)
            .where(
                deployments.c.identity_type == certificates.c.identity_type,
                deployments.c.identity == certificates.c.identity,
                *which,
                sa.or_(
                    deployments.c.certificate_id.is_distinct_from(certificates.c.id),
                    deployments.c.content_digest != row.content_digest,
                    deployments.c.state.in_(_LEAVING),
                ),
            )
            .values(
                certificate_id=certificates.c.id,
                content_digest=row.content_digest,
                state=sa.case((is_contested, DeploymentState.CONFLICT), else_=DeploymentState.PENDING),
                attempts=0,
                not_before=sa.case(
                    (is_contested, None), else_=sa.literal(now, deployments.c.not_before.type)
                ),
                updated_at=now,
                error_code=sa.case((is_contested, deployments.c.error_code)),
                error_detail=sa.case((is_contested, deployments.c.error_detail)),
                **ENDED_LEASE,
            )
        )

    def _end(
        self,
        which: list[sa.ColumnElement[bool]],
        served: list[sa.ColumnElement[bool]] | None,
        now: datetime,
        *,
        removes: bool,
    ) -> None:
        """End deployments without a wanted certificate. served: their conditions; None for no certificate."""
        if served is not None:
            wanted = sa.select(certificates.c.id).where(
                *served,
                certificates.c.identity_type == deployments.c.identity_type,
                certificates.c.identity == deployments.c.identity,
            )
            which = [*which, ~wanted.exists()]
        # A profile that was never handed out is not on the device and need not be removed.
        is_there = sa.or_(
            deployments.c.installed_certificate_id.is_not(None),
            deployments.c.handed_at.is_not(None),
            deployments.c.delivered_at.is_not(None),
            deployments.c.attempts > 0,
        )
        is_open = deployments.c.state.not_in(_LEAVING)
        if removes:
            which = [*which, sa.or_(is_open, sa.and_(_WAS_LEFT, is_there))]
            state: Any = sa.case((is_there, DeploymentState.REMOVING), else_=DeploymentState.SUPERSEDED)
        else:
            # A removal that failed or is contested remains a removal.
            which = [*which, is_open, deployments.c.certificate_id.is_not(None)]
            state = DeploymentState.SUPERSEDED
        self._connection.execute(
            sa.update(deployments)
            .where(*which)
            .values(
                certificate_id=None,
                state=state,
                attempts=0,
                not_before=now,
                updated_at=now,
                **ENDED_LEASE,
                **NO_ERROR,
            )
        )


@refuse_unknown("VPN policy")
def _named(row: Row[Any]) -> tuple[str | None, Sequence[str] | None]:
    """Return the issuer and the identities of a policy; None for any."""
    document = json.loads(row.document)
    return document["issuer"], document["identities"]
