"""MDM servers, their devices, and the device to which each identity is pinned."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors.mdm import MdmForged
from bulkcert.store.access.signatures import Signatures
from bulkcert.store.readable import readable, refuse_unknown
from bulkcert.store.sql import cursors
from bulkcert.store.sql.upserts import insert_if_absent
from bulkcert.store.tables.mdm import mdm_devices, mdm_events, mdm_identities, mdm_servers
from bulkcert.store.traces import Traces
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.mdm import Claims, MdmDevice, MdmServer, Pin
from bulkcert.values.pages import Page

_MOST_NUMBERS = 4
"""Most IMEIs or MEIDs of one device: as many as fit into the column."""


_MOST_REFUSED = 20


class Mdm:
    """Rows of MDM servers, devices and pins."""

    def __init__(self, connection: Connection, signatures: Signatures) -> None:
        self._connection = connection
        self._signatures = signatures

    # --- servers ---

    def server(self, server_id: str) -> MdmServer | None:
        """Return the address and keys of a server, None if it is not set, or raise `MdmForged`."""
        row = self._connection.execute(sa.select(mdm_servers).where(mdm_servers.c.id == server_id)).first()
        if row is None:
            return None
        if not self._signatures.is_genuine(mdm_servers, row):
            raise MdmForged("The row of the MDM server is not as the service wrote it.")
        return MdmServer(row.url, row.sealed_api_key, row.sealed_webhook_key, row.updated_at)

    def has_server(self, server_id: str) -> bool:
        """Return whether a server is set."""
        query = sa.select(mdm_servers.c.id).where(mdm_servers.c.id == server_id)
        return self._connection.execute(query).first() is not None

    def set_server(self, server_id: str, server: MdmServer) -> None:
        """Insert or replace the address and keys of a server."""
        if self._connection.execute(sa.delete(mdm_servers).where(mdm_servers.c.id == server_id)).rowcount:
            Traces(self._connection).note()
        values = {
            "id": server_id,
            "url": server.url,
            "sealed_api_key": server.sealed_api_key,
            "sealed_webhook_key": server.sealed_webhook_key,
            "updated_at": server.updated_at,
        }
        mac = self._signatures.mac(mdm_servers, values)
        self._connection.execute(sa.insert(mdm_servers).values({**values, "mac": mac}))

    # --- events ---

    def take_event(self, digest: str, now: datetime) -> bool:
        """Record a webhook event; return False if any process recorded it before."""
        row = {"digest": digest, "received_at": now}
        return insert_if_absent(self._connection, mdm_events, row, mdm_events.c.digest)

    def forget_events(self, before: datetime) -> None:
        """Delete events that were received before a time."""
        self._connection.execute(sa.delete(mdm_events).where(mdm_events.c.received_at < before))

    # --- devices ---

    def see(self, udid: str, at: datetime) -> MdmDevice:
        """Record when a device was last seen, lock it until the transaction ends, and return it.

        A new device counts as enrolled. Events come in any order: the latest time stays.
        """
        known = mdm_devices.c.last_seen_at
        latest = sa.case((known < at, sa.literal(at, known.type)), else_=known)
        self._connection.execute(
            sa.update(mdm_devices).where(mdm_devices.c.udid == udid).values(last_seen_at=latest)
        )
        row = {"udid": udid, "is_enrolled": True, "last_seen_at": at}
        insert_if_absent(self._connection, mdm_devices, row, mdm_devices.c.udid)
        found = self.device(udid)
        assert found is not None
        return found

    def device(self, udid: str) -> MdmDevice | None:
        """Return a device; None if it is unknown."""
        row = self._connection.execute(sa.select(mdm_devices).where(mdm_devices.c.udid == udid)).first()
        return None if row is None else _device(row)

    def enrol(self, udid: str, *, is_enrolled: bool) -> None:
        """Record whether a device is enrolled, and clear whether it is supervised: it may have changed."""
        self._set(udid, is_enrolled=is_enrolled, is_supervised=None)

    def describe(self, udid: str, claims: Claims, *, is_supervised: bool | None) -> None:
        """Record the identities that a device claims. is_supervised: None leaves the known value."""
        supervised = {} if is_supervised is None else {"is_supervised": is_supervised}
        self._set(
            udid,
            serial_number=claims.serial_number,
            imei=" ".join(claims.imeis[:_MOST_NUMBERS]) or None,
            meid=" ".join(claims.meids[:_MOST_NUMBERS]) or None,
            **supervised,
        )

    def _set(self, udid: str, **values: object) -> None:
        self._connection.execute(sa.update(mdm_devices).where(mdm_devices.c.udid == udid).values(values))

    # --- pins ---

    def pin(self, identity: DeviceIdentity, udid: str, now: datetime) -> bool:
        """Pin an identity to a device; return False if it is already pinned."""
        row = {
            "identity_type": str(identity.type),
            "identity": identity.value,
            "udid": udid,
            "pinned_at": now,
            "contender_udid": None,
            "refused_udids": None,
        }
        row["mac"] = self._signatures.mac(mdm_identities, row)
        key = (mdm_identities.c.identity_type, mdm_identities.c.identity)
        return insert_if_absent(self._connection, mdm_identities, row, *key)

    def pinned(self, identity: DeviceIdentity, *, lock: bool = False) -> Pin | None:
        """Return the pin of an identity. lock: whether to lock it until the transaction ends."""
        row = self._row(identity, lock=lock)
        if row is None:
            return None
        return replace(_pin(row), is_forged=not self._signatures.is_genuine(mdm_identities, row))

    def _row(self, identity: DeviceIdentity, *, lock: bool) -> Row[Any] | None:
        query = sa.select(mdm_identities).where(*_is(identity))
        return self._connection.execute(query.with_for_update() if lock else query).first()

    def contested(self, limit: int, cursor: str | None) -> Page[Pin]:
        """Return a page of the identities that two devices claim."""
        key = mdm_identities.c.identity_type + "." + mdm_identities.c.identity
        query = sa.select(mdm_identities).where(mdm_identities.c.contender_udid.is_not(None))
        if cursor is not None:
            query = query.where(key > cursors.read_text(cursor))
        rows = self._connection.execute(query.order_by(key).limit(limit + 1))
        found = (
            (f"{row.identity_type}.{row.identity}", cursors.size_of(row), readable(_pin, row)) for row in rows
        )
        return cursors.page(found, limit)

    def contend(self, identity: DeviceIdentity, udid: str) -> None:
        """Record that another device claims an identity, whose pin is unaltered."""
        self._set_pin(identity, contender_udid=udid)

    def confirm(
        self, identity: DeviceIdentity, udid: str, refused_udids: Sequence[str], now: datetime
    ) -> None:
        """Pin an identity to a device by decision of an administrator, and end the contest."""
        self._set_pin(
            identity,
            udid=udid,
            pinned_at=now,
            contender_udid=None,
            refused_udids=" ".join(refused_udids[-_MOST_REFUSED:]) or None,
        )

    def _set_pin(self, identity: DeviceIdentity, **values: object) -> None:
        row = self._row(identity, lock=True)
        if row is not None:
            self._signatures.update(mdm_identities, row, values)


def _is(identity: DeviceIdentity) -> tuple[sa.ColumnElement[bool], ...]:
    column = mdm_identities.c
    return column.identity_type == identity.type, column.identity == identity.value


def _device(row: Row[Any]) -> MdmDevice:
    claims = Claims(row.serial_number, tuple((row.imei or "").split()), tuple((row.meid or "").split()))
    return MdmDevice(row.udid, claims, row.is_supervised, row.is_enrolled, row.last_seen_at)


@refuse_unknown("pin")
def _pin(row: Row[Any]) -> Pin:
    identity = DeviceIdentity(IdentityType(row.identity_type), row.identity)
    refused = tuple((row.refused_udids or "").split())
    return Pin(identity, row.udid, row.pinned_at, row.contender_udid, refused)
