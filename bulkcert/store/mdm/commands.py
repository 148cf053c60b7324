"""Commands for devices: recorded first, then sent to the MDM server, then answered.

They are stored nowhere else. Commands that a process was sending when it died are sent again after a while
under the same UUID, which an MDM server accepts once.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.store.readable import all_readable, refuse_unknown
from bulkcert.store.sql.rows import value_of
from bulkcert.store.sql.upserts import insert_if_absent
from bulkcert.store.tables.deployments import deployments
from bulkcert.store.tables.mdm import mdm_commands
from bulkcert.values.mdm import CHANGES, OPEN, CommandStatus, MdmCommand, RequestType

_COLUMN = mdm_commands.c

_IS_CHANGE = _COLUMN.request_type.in_(CHANGES)
_IS_STILL_WANTED = sa.or_(
    _COLUMN.deployment_id.is_(None),
    sa.exists().where(deployments.c.id == _COLUMN.deployment_id, deployments.c.lease == _COLUMN.lease),
)
"""The deployment has not been changed or leased again since."""


class MdmCommands:
    """Rows of commands."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, command: MdmCommand) -> bool:
        """Insert a command; return False if its UUID is in use."""
        return insert_if_absent(self._connection, mdm_commands, asdict(command), _COLUMN.uuid)

    def find(self, uuid: str) -> MdmCommand | None:
        """Return a command; None if there is none."""
        row = self._connection.execute(sa.select(mdm_commands).where(_COLUMN.uuid == uuid)).first()
        return None if row is None else _command(row)

    def of(self, deployment_id: int, udid: str) -> list[MdmCommand]:
        """Return the commands for a deployment on a device, under all of its leases."""
        query = sa.select(mdm_commands).where(_COLUMN.deployment_id == deployment_id, _COLUMN.udid == udid)
        return all_readable(_command, self._connection.execute(query.order_by(_COLUMN.uuid)))

    def settle(
        self, uuids: Sequence[str], status: CommandStatus, *, among: CommandStatus | None = None
    ) -> None:  # fmt: skip
        """Update the status of commands. among: only commands with this status."""
        if uuids:
            conditions = [_COLUMN.uuid.in_(uuids)] + ([] if among is None else [_COLUMN.status == among])
            self._connection.execute(sa.update(mdm_commands).where(*conditions).values(status=status))

    def delete(self, uuids: Sequence[str]) -> None:
        """Delete commands that were sent to nobody."""
        if uuids:
            self._connection.execute(sa.delete(mdm_commands).where(_COLUMN.uuid.in_(uuids)))

    def is_waiting(self, stale_before: datetime) -> bool:
        """Return whether a command is to be sent."""
        query = sa.select(_COLUMN.uuid).where(_is_to_send(stale_before), _IS_STILL_WANTED)
        return self._connection.execute(query.limit(1)).first() is not None

    def claim(self, now: datetime, stale_before: datetime, most: int) -> list[MdmCommand]:
        """Claim up to `most` commands for sending, those that wait longest first; return them as before it.

        stale_before: commands in sending since before this time are sent again.
        """
        query = sa.select(mdm_commands).where(_is_to_send(stale_before), _IS_STILL_WANTED)
        rows = self._connection.execute(
            query.order_by(_COLUMN.enqueued_at, _COLUMN.uuid)
            .limit(most)
            .with_for_update(skip_locked=True, of=mdm_commands)
        ).all()
        if rows:
            self._connection.execute(
                sa.update(mdm_commands)
                .where(_COLUMN.uuid.in_([row.uuid for row in rows]))
                .values(status=CommandStatus.SENDING, enqueued_at=now)
            )
        return all_readable(_command, rows)

    def sweep(self) -> None:
        """Delete commands that were never sent and are not wanted any more."""
        is_unsent = _COLUMN.status == CommandStatus.WAITING
        self._connection.execute(sa.delete(mdm_commands).where(is_unsent, ~_IS_STILL_WANTED))

    def disturb(self, udid: str, before: datetime) -> None:
        """Record that a device's queue was cleared: commands sent before may have been executed or not."""
        self._connection.execute(
            sa.update(mdm_commands)
            .where(_COLUMN.udid == udid, _COLUMN.status.in_(OPEN), _COLUMN.enqueued_at < before)
            .values(status=CommandStatus.UNCLEAR)
        )

    def was_asked(self, udid: str, since: datetime) -> bool:
        """Return whether a device was asked for its identity since a time."""
        query = sa.select(_COLUMN.uuid).where(
            _COLUMN.udid == udid,
            _COLUMN.request_type == RequestType.DEVICE_INFORMATION,
            _COLUMN.enqueued_at > since,
            _COLUMN.status != CommandStatus.UNCLEAR,
        )
        return self._connection.execute(query.limit(1)).first() is not None

    def forget(self, before: datetime) -> None:
        """Delete commands from before a time on which nothing depends any more."""
        depended_on = (CommandStatus.WAITING, CommandStatus.UNCLEAR, *OPEN)
        is_over = sa.or_(_COLUMN.status.not_in(depended_on), ~_IS_STILL_WANTED, ~_IS_CHANGE)
        self._connection.execute(
            sa.delete(mdm_commands).where(_COLUMN.enqueued_at < before, is_over)
        )  # fmt: skip


def _is_to_send(stale_before: datetime) -> sa.ColumnElement[bool]:
    is_left = sa.and_(_COLUMN.status == CommandStatus.SENDING, _COLUMN.enqueued_at <= stale_before)
    return sa.or_(_COLUMN.status == CommandStatus.WAITING, is_left)


@refuse_unknown("MDM command")
def _command(row: Row[Any]) -> MdmCommand:
    request_type, status = RequestType(row.request_type), CommandStatus(row.status)
    return value_of(MdmCommand, row, request_type=request_type, status=status)
