"""Sending: commands that are recorded are offered to the MDM server, profiles made on the way.

What the server certainly does not have goes back to where it was. What it may have keeps its UUID and is sent
again under it: the server takes it once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from bulkcert.deployments.mdm.commands import hold, write_command
from bulkcert.deployments.mdm.nanomdm_client import NanoMdm
from bulkcert.deployments.outcomes import DeploymentOutcomes
from bulkcert.deployments.profile_release import Handout, ProfileRelease
from bulkcert.deployments.profiles.profile import NAMESPACE, profile_identifier
from bulkcert.errors import Refusal
from bulkcert.errors.mdm import MdmFault, MdmForged, MdmRefused, MdmUnauthorised, MdmUncertain, MdmUnreachable
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.deployments import Action, Deployment, Lease
from bulkcert.values.mdm import DEPLOYER, CommandStatus, MdmCommand, RequestType
from bulkcert.values.secret import Secret

FAULTS = tuple(kind.code for kind in (MdmUnreachable, MdmUnauthorised, MdmUncertain, MdmForged))
"""The codes of deployments that wait for an MDM server that takes no commands."""

_RELEASED_AT_ONCE = 10
"""Profiles that are made and released in one transaction: a server that goes away meanwhile gets fewer."""

NOT_WOKEN = "not_woken"
"""The command waits in the MDM server, and the device was not told."""

log = structlog.get_logger()


@dataclass
class _Batch:
    """Commands in hand, as they were before, and what became of them."""

    commands: Sequence[MdmCommand]
    held: Mapping[int, Deployment]
    sent: list[MdmCommand] = field(default_factory=list)
    unwanted: list[MdmCommand] = field(default_factory=list)
    refused: list[tuple[MdmCommand, MdmRefused]] = field(default_factory=list)
    fault: MdmFault | None = None

    def left(self) -> list[MdmCommand]:
        """List what was not sent."""
        done = [*self.sent, *self.unwanted, *(command for command, _ in self.refused)]
        return [command for command in self.commands if command not in done]


class Sender:
    """Sends commands. wait: how long a device may be silent; half of it, and a command is sent again."""

    def __init__(
        self,
        store: Store,
        releases: ProfileRelease,
        now: Callable[[], datetime],
        wait: timedelta,
        namespace: str = NAMESPACE,
    ) -> None:
        self._store = store
        self._releases = releases
        self._now = now
        self._wait = wait
        self._namespace = namespace
        self._outcomes = DeploymentOutcomes(now)

    def send(self, client: NanoMdm, most: int) -> bool:
        """Send up to `most` commands; False where there are none. Raises the `MdmFault` that ended it."""
        batch = self._claim(most)
        if batch is None:
            return False
        began = self._now()
        for commands in _divide(batch.commands, _RELEASED_AT_ONCE):
            if batch.fault is not None or self._now() - began > self._wait / 4:
                break  # another carrier would take for lost what is left
            self._send_some(client, batch, commands)
        self._finish(batch)
        if batch.sent:
            self.wake(client, {each.udid: each.deployment_id for each in batch.sent})
        if batch.fault is not None:
            raise batch.fault
        return True

    def has_work(self) -> bool:
        """Return whether there is a command to send."""
        with self._store.reading() as tx:
            return tx.mdm_commands.is_waiting(tx.now - self._wait / 2)

    def note_waiting(self, fault: MdmFault) -> None:
        """Note on all deployments that are ready for this server why nothing is sent."""
        with self._store.writing() as tx:
            tx.mdm_leases.note_ready(fault.code, fault.detail, tx.now)

    def wake(self, client: NanoMdm, deployments: Mapping[str, int | None]) -> None:
        """Wake devices, by UDID, and note on the deployment of each that it could not be."""
        if not deployments:
            return
        try:
            failures = client.push(list(deployments))
        except MdmFault as fault:
            failures = dict.fromkeys(deployments, fault.detail)
        if not failures:
            return
        log.warning("devices cannot be woken", devices=len(failures), detail=next(iter(failures.values())))
        with self._store.writing() as tx:
            for udid, words in failures.items():
                detail = f"The command waits in the MDM server, which could not wake the device: {words}"
                deployment_id = deployments[udid]
                tx.mdm_leases.note([] if deployment_id is None else [deployment_id], NOT_WOKEN, detail)

    def _claim(self, most: int) -> _Batch | None:
        if not self.has_work():
            return None
        with self._store.writing() as tx:
            now = tx.now
            tx.mdm_commands.sweep()
            commands = tx.mdm_commands.claim(now, now - self._wait / 2, most)
            held: dict[int, Deployment] = {}
            for command in commands:
                if command.deployment_id is not None and command.lease is not None:
                    tx.mdm_leases.renew(command.deployment_id, command.lease, now + 2 * self._wait)
                    held[command.deployment_id] = tx.deployments.find(command.deployment_id)
        return _Batch(commands, held) if commands else None

    def _send_some(self, client: NanoMdm, batch: _Batch, commands: Sequence[MdmCommand]) -> None:
        """Send commands until there is a fault. Keys are released only to a server that can be reached."""
        try:
            if any(each.request_type is RequestType.INSTALL_PROFILE for each in commands):
                client.prove()
        except MdmFault as fault:
            batch.fault = fault
            return
        handouts = self._make_profiles(batch, commands)
        for command in commands:
            if batch.fault is None:
                self._send(client, batch, command, handouts)

    def _make_profiles(self, batch: _Batch, commands: Sequence[MdmCommand]) -> dict[str, Handout | Refusal]:
        """Make and release the profiles of the commands that install one, by the commands' UUIDs."""
        installs = [each for each in commands if each.request_type is RequestType.INSTALL_PROFILE]
        if not installs:
            return {}
        strays = self._refuse_strays(installs)
        wanted = [each for each in installs if each.uuid not in strays]
        made = self._releases.release_all([_lease(each, batch.held) for each in wanted], DEPLOYER)
        return strays | {command.uuid: handout for command, handout in zip(wanted, made, strict=True)}

    def _refuse_strays(self, installs: Sequence[MdmCommand]) -> dict[str, Handout | Refusal]:
        """Fail deployments whose command is for a device that their identity is not provably pinned to."""
        ids = [each.deployment_id for each in installs if each.deployment_id is not None]
        with self._store.reading() as tx:
            proven = tx.mdm_leases.proven_udids(ids)
        strays = [each for each in installs if proven.get(each.deployment_id or 0) != each.udid]
        if not strays:
            return {}
        refusal = MdmForged("The device is not the one that the service pinned to this identity.")
        with self._store.writing() as tx:
            for command in strays:
                if (held := hold(tx, command, tx.now + 2 * self._wait)) is not None:
                    self._outcomes.fail(tx, held, refusal.code, refusal.detail, DEPLOYER)
        return {each.uuid: refusal for each in strays}

    def _send(
        self, client: NanoMdm, batch: _Batch, command: MdmCommand, handouts: Mapping[str, Handout | Refusal]
    ) -> None:
        profile: Secret | None = None
        if command.request_type is RequestType.INSTALL_PROFILE:
            handout = handouts[command.uuid]
            if isinstance(handout, Refusal):  # it does not fit, or was changed: its deployment says so
                batch.unwanted.append(command)
                return
            profile = handout.content
        identifier = self._identifier(command, batch.held)
        content = write_command(command.uuid, command.request_type, profile=profile, identifier=identifier)
        try:
            client.enqueue(command.udid, command.uuid, content)
            batch.sent.append(command)
        except MdmRefused as refusal:
            batch.refused.append((command, refusal))
        except MdmFault as fault:
            batch.fault = fault

    def _identifier(self, command: MdmCommand, held: Mapping[int, Deployment]) -> str | None:
        if command.deployment_id is None:
            return None
        deployment = held[command.deployment_id]
        return profile_identifier(str(deployment.policy_id), deployment.identity, self._namespace)

    def _finish(self, batch: _Batch) -> None:
        """Record what became of the commands."""
        with self._store.writing() as tx:
            # A device may have been quicker than this: its answer stays.
            mine = CommandStatus.SENDING
            tx.mdm_commands.settle([each.uuid for each in batch.sent], CommandStatus.SENT, among=mine)
            ids = [each.deployment_id for each in batch.sent if each.deployment_id is not None]
            tx.mdm_leases.clear(ids, FAULTS)
            tx.mdm_commands.delete([each.uuid for each in batch.unwanted if _is_unknown(each)])
            for command, refusal in batch.refused:
                self._refuse(tx, command, refusal)
            left = batch.left()
            # Of those that are left, the first one is what the fault befell: the server may have it.
            uncertain = left[:1] if isinstance(batch.fault, MdmUncertain) else []
            self._return(tx, [each for each in left if each not in uncertain], batch.fault)
            if batch.fault is not None:
                self._note(tx, uncertain, batch.fault)

    def _refuse(self, tx: Transaction, command: MdmCommand, refusal: MdmRefused) -> None:
        tx.mdm_commands.settle([command.uuid], CommandStatus.UNCLEAR)
        if (held := hold(tx, command, tx.now + 2 * self._wait)) is not None:
            self._outcomes.fail(tx, held, refusal.code, refusal.detail, DEPLOYER)

    def _return(self, tx: Transaction, commands: Sequence[MdmCommand], fault: MdmFault | None) -> None:
        """Put back what the server certainly does not have, or has not more certainly than before."""
        again = [each for each in commands if _is_unknown(each)]
        tx.mdm_commands.settle([each.uuid for each in again], CommandStatus.WAITING)
        if fault is None:
            return
        for command in again:
            held = hold(tx, command, tx.now + 2 * self._wait)
            if held is not None and command.request_type is RequestType.INSTALL_PROFILE:
                tx.mdm_commands.delete([command.uuid])
                tx.deployments.give_back(held.id, tx.now)
        self._note(tx, commands, fault)

    def _note(self, tx: Transaction, commands: Sequence[MdmCommand], fault: MdmFault) -> None:
        ids = [each.deployment_id for each in commands if each.deployment_id is not None]
        tx.mdm_leases.note(ids, fault.code, fault.detail)


def _divide(commands: Sequence[MdmCommand], most: int) -> Iterator[Sequence[MdmCommand]]:
    for start in range(0, len(commands), most):
        yield commands[start : start + most]


def _is_unknown(command: MdmCommand) -> bool:
    """Return whether a command was not offered to the server before this time."""
    return command.status is CommandStatus.WAITING


def _lease(command: MdmCommand, held: Mapping[int, Deployment]) -> Lease:
    assert command.deployment_id is not None
    assert command.lease is not None
    return Lease(held[command.deployment_id], Action.INSTALL, command.lease)
