"""Devices with certificates, and the states of their deployments.

A device has no row of its own: devices are found in `device_keys` (one row for each public key), and the id
of a device is that of its first certificate. Both are read from indexes alone: a list with counts takes about
a tenth of a second at 100,000 devices (sorted by id: between half a second and one and a half).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import NotFound
from bulkcert.store.certificates.certificates import DEVICE
from bulkcert.store.readable import all_readable, refuse_unknown
from bulkcert.store.sql.lists import texts
from bulkcert.store.tables.certificates import certificates, device_keys
from bulkcert.store.tables.deployments import deployments
from bulkcert.store.tables.mdm import mdm_devices, mdm_identities
from bulkcert.values.devices import Device, DeviceOrder, DeviceQuery
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import DeploymentState

_STATES = frozenset(DeploymentState)
_OWNER = (device_keys.c.identity_type, device_keys.c.identity)
_ID = (
    sa.select(sa.func.min(certificates.c.id))
    .where(
        certificates.c.identity_type == device_keys.c.identity_type,
        certificates.c.identity == device_keys.c.identity,
    )
    .scalar_subquery()
)


class Devices:
    """Devices, read from the rows of their certificates."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count(self, text: str | None = None) -> int:
        """Return the number of devices, or of those whose identity contains a text."""
        found = sa.select(*_OWNER).where(*_conditions(text)).distinct().subquery()
        number: int = self._connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one()
        return number

    def page(self, wanted: DeviceQuery) -> list[Device]:
        """Return a page of devices."""
        first = _ID.label("first_id")
        order = (first,) if wanted.order is DeviceOrder.ID else _OWNER
        rows = self._connection.execute(
            sa.select(first, *_OWNER)
            .where(*_conditions(wanted.text))
            .group_by(*_OWNER)
            .order_by(*(sa.desc(each) if wanted.is_descending else each for each in order))
            .limit(wanted.limit)
            .offset(wanted.start)
        )
        return self._devices(all_readable(_owner, rows))

    def find(self, device_id: int) -> Device:
        """Return a device that has or had a certificate, or raise `NotFound`."""
        same = certificates.alias()
        row = self._connection.execute(
            sa.select(certificates.c.id, certificates.c.identity_type, certificates.c.identity).where(
                certificates.c.id == device_id,
                certificates.c.kind == DEVICE,
                # The id of a device is that of its first certificate; those of later ones name no device.
                ~sa.select(same.c.id)
                .where(
                    same.c.identity_type == certificates.c.identity_type,
                    same.c.identity == certificates.c.identity,
                    same.c.id < device_id,
                )
                .exists(),
            )
        ).first()
        if row is None:
            raise NotFound("There is no such device.")
        return self._devices([_owner(row)])[0]

    def _devices(self, found: Sequence[tuple[int, DeviceIdentity]]) -> list[Device]:
        counts: dict[DeviceIdentity, dict[DeploymentState, int]] = {}
        seen: dict[DeviceIdentity, datetime] = {}
        for identity_type in sorted({identity.type for _, identity in found}):
            values = [identity.value for _, identity in found if identity.type is identity_type]
            for value, state, number in self._count_deployments(identity_type, values):
                if state in _STATES:
                    own = counts.setdefault(DeviceIdentity(identity_type, value), {})
                    own[DeploymentState(state)] = number
            for value, moment in self._seen(identity_type, values):
                seen[DeviceIdentity(identity_type, value)] = moment
        return [
            Device(number, identity, seen.get(identity), counts.get(identity, {}))
            for number, identity in found
        ]

    def _count_deployments(
        self, identity_type: IdentityType, values: Sequence[str]
    ) -> Iterator[tuple[str, str, int]]:  # fmt: skip
        column = deployments.c
        asked = column.identity.in_(texts(self._connection, values))
        rows = self._connection.execute(
            sa.select(column.identity, column.state, sa.func.count())
            .where(column.identity_type == identity_type, asked)
            .group_by(column.identity, column.state)
        )
        yield from rows

    def _seen(self, identity_type: IdentityType, values: Sequence[str]) -> Iterator[tuple[str, datetime]]:
        column = mdm_identities.c
        asked = column.identity.in_(texts(self._connection, values))
        rows = self._connection.execute(
            sa.select(column.identity, mdm_devices.c.last_seen_at)
            .join(mdm_devices, mdm_devices.c.udid == column.udid)
            .where(column.identity_type == identity_type, asked)
        )
        yield from rows


def _conditions(text: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if text is None else [device_keys.c.identity.icontains(text, autoescape=True)]


@refuse_unknown("device")
def _owner(row: Row[Any, Any, Any]) -> tuple[int, DeviceIdentity]:
    """Return the first id of a device, and its identity."""
    return row[0], DeviceIdentity(IdentityType(row.identity_type), row.identity)
