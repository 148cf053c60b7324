"""The carrier: sends what is to be sent, and looks after deployments that nothing is heard of.

Several may run, in as many processes: leases and claims in the database keep them apart, and a command's UUID
makes that one that is sent twice is carried out once. A carrier keeps nothing of its own but its connection.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from bulkcert.deployments.mdm.answers import lists_for
from bulkcert.deployments.mdm.commands import record_next
from bulkcert.deployments.mdm.nanomdm_client import NanoMdm
from bulkcert.deployments.mdm.sender import Sender
from bulkcert.deployments.mdm.server_settings import MdmServers
from bulkcert.errors.mdm import MdmFault, MdmNotConfigured, MdmUnauthorised
from bulkcert.store.mdm.leases import DeviceLease
from bulkcert.store.sql.topics import MDM
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.deployments import Action, Deployment
from bulkcert.values.mdm import CHANGES, DEPLOYER, OPEN, CommandStatus, MdmCommand, MdmServer, RequestType

AT_ONCE = 50
"""Deployments that are leased, and commands that are sent, in one go."""

_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=30)
_LOOK_EVERY = timedelta(seconds=2)
"""For deployments to lease, where there were none: a look at all whose device is not enrolled."""

_UNSENT = (CommandStatus.WAITING, CommandStatus.SENDING)

log = structlog.get_logger()


class Carrier:
    """Carries deployments. connect: talks to a server. wait: how long a device may be silent."""

    def __init__(
        self,
        store: Store,
        servers: MdmServers,
        sender: Sender,
        connect: Callable[[MdmServer], NanoMdm],
        now: Callable[[], datetime],
        wait: timedelta,
    ) -> None:
        self._store = store
        self._servers = servers
        self._sender = sender
        self._connect = connect
        self._now = now
        self._wait = wait
        self._client: NanoMdm | None = None
        self._server: MdmServer | None = None
        self._not_before: datetime | None = None
        self._next_lease: datetime | None = None
        self._pause = _FIRST_PAUSE
        self._last_fault = ""

    def carry_once(self) -> bool:
        """Do what there is to do now; False where there is nothing, or the MDM server cannot be used yet.

        Raises `MdmNotConfigured`, `Unavailable`, `StorageFull`.
        """
        if self._not_before is not None and self._now() < self._not_before:
            return False
        try:
            return self._carry(self._client_now())
        except MdmFault as fault:
            self._rest_after(fault)
            return False

    def _carry(self, client: NanoMdm) -> bool:
        # While the server takes nothing, what waits already is tried, and nothing more is taken in hand.
        leased = not (self._last_fault and self._sender.has_work()) and self._lease()
        looked = self._look_after(client)
        sent = self._sender.send(client, self._most())
        if sent:
            self._pause, self._last_fault = _FIRST_PAUSE, ""
        return leased or looked or sent

    def _most(self) -> int:
        """After a fault one command is tried first: a profile that is made is a release that is recorded."""
        return 1 if self._last_fault else AT_ONCE

    def rest(self, seconds: float) -> None:
        """Do nothing for some time, or until the database tells of something to do."""
        with self._store.watch(MDM) as watch:
            watch.wait(seconds)

    def close(self) -> None:
        """Close the connection to the MDM server."""
        if self._client is not None:
            self._client.close()

    def _client_now(self) -> NanoMdm:
        """Return the connection to the server as it is set now."""
        server = self._servers.find()
        if server is None:
            raise MdmNotConfigured("No MDM server is set.")
        if self._client is None or server != self._server:
            self.close()
            self._client, self._server = self._connect(server), server
        return self._client

    def _rest_after(self, fault: MdmFault) -> None:
        longest = isinstance(fault, MdmUnauthorised)
        self._not_before = self._now() + (_LONGEST_PAUSE if longest else self._pause)
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        if fault.code != self._last_fault:  # once, not for every try
            log.warning("the MDM server does not take commands", code=fault.code, detail=fault.detail)
        self._last_fault = fault.code
        self._sender.note_waiting(fault)

    # --- leases ---

    def _lease(self) -> bool:
        """Lease deployments whose device is known, and record what each device is to be sent first."""
        if self._next_lease is not None and self._now() < self._next_lease:
            return False
        with self._store.writing() as tx:
            now = tx.now
            leases = tx.deployments.lease_mapped(self._most(), now, now + 2 * self._wait, DEPLOYER)
            udids = tx.mdm_leases.udids([lease.deployment.id for lease in leases])
            for lease in leases:
                udid = udids[lease.deployment.id]
                wanted = _first_commands(tx, lease.deployment, lease.action, udid)
                record_next(tx, lease.deployment.id, lease.token, udid, wanted, now)
        self._next_lease = None if leases else self._now() + _LOOK_EVERY
        return bool(leases)

    # --- silence ---

    def _look_after(self, client: NanoMdm) -> bool:
        """Keep in hand what nothing was heard of, and wake or ask its devices."""
        with self._store.reading() as tx:
            if not tx.mdm_leases.is_due(tx.now + self._wait):
                return False
        with self._store.writing() as tx:
            now = tx.now
            due = tx.mdm_leases.renew_due(now + self._wait, now + 2 * self._wait, AT_ONCE)
            silent = {held.udid: held.deployment_id for held in due if not self._is_asked(tx, held, now)}
        self._sender.wake(client, silent)
        return bool(due)

    def _is_asked(self, tx: Transaction, held: DeviceLease, now: datetime) -> bool:
        """Let a device be asked what it has; False where it has only to be woken.

        A device that was heard of since it was last sent something had its chance to answer: the webhook of
        that is lost. From one that was not, the answer may come yet, in weeks: it waits in the MDM server.
        """
        deployment = tx.deployments.find(held.deployment_id)
        commands = tx.mdm_commands.of(held.deployment_id, held.udid)
        mine = [each for each in commands if each.lease == held.lease]
        if any(each.status in _UNSENT for each in mine):
            return True  # it is being sent
        device = tx.mdm.device(held.udid)
        sent_at = max((each.enqueued_at for each in mine), default=None)
        if sent_at is not None and (device is None or device.last_seen_at <= sent_at):
            return False
        record_next(tx, held.deployment_id, held.lease, held.udid, lists_for(deployment), now)
        return True


def _first_commands(
    tx: Transaction, deployment: Deployment, action: Action, udid: str
) -> tuple[RequestType, ...]:  # fmt: skip
    """Return what a device is sent first: where it may have something of before, it is asked what it has."""
    if action is Action.REMOVE:
        return (RequestType.REMOVE_PROFILE,)
    commands = tx.mdm_commands.of(deployment.id, udid)
    return lists_for(deployment) if any(map(_is_open, commands)) else (RequestType.INSTALL_PROFILE,)


def _is_open(command: MdmCommand) -> bool:
    return command.request_type in CHANGES and command.status in (*OPEN, CommandStatus.UNCLEAR)
