"""What devices answer to commands, and what follows from it, in the transaction of the webhook.

A deployment goes InstallProfile, then ProfileList and CertificateList, then `installed`; or RemoveProfile,
then ProfileList, then `removed`. Where it is not known whether an earlier command was carried out, the lists
are asked for first. An answer to a command whose lease is not live any more changes nothing, except that the
device has done something since it was last looked at.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from bulkcert.deployments.mdm.commands import hold, latest, record_next
from bulkcert.deployments.outcomes import DeploymentOutcomes
from bulkcert.deployments.profiles.profile import NAMESPACE, profile_identifier, profile_uuid
from bulkcert.formats.mdm.answers import read_identity_fingerprints, read_profiles, read_reason
from bulkcert.formats.mdm.events import MdmEvent
from bulkcert.store.transaction import Transaction
from bulkcert.values.deployments import Deployment
from bulkcert.values.mdm import ANSWERED, CHANGES, DEPLOYER, OPEN, CommandStatus, MdmCommand, RequestType
from bulkcert.values.policies import DeploymentState

LISTS = (RequestType.PROFILE_LIST, RequestType.CERTIFICATE_LIST)
REFUSED = "device_refused"
NOT_ON_DEVICE = "not_on_device"

_ASK_REFUSED_AGAIN = timedelta(hours=1)
"""Until a device that refused to list what it has is asked again: its rights change when it enrols anew."""

_HINT = " Devices say so also where they do not read the encryption of the PKCS#12: see pkcs12_encryption."


def lists_for(deployment: Deployment) -> tuple[RequestType, ...]:
    """Return what a device is asked to see whether it has what is wanted, or nothing any more."""
    return LISTS if deployment.certificate_id is not None else LISTS[:1]


class Answers:
    """Takes answers. wait: how long nothing may be heard of a deployment before it is looked after."""

    def __init__(self, now: Callable[[], datetime], wait: timedelta, namespace: str = NAMESPACE) -> None:
        self._wait = wait
        self._namespace = namespace
        self._outcomes = DeploymentOutcomes(now)

    def take(self, tx: Transaction, event: MdmEvent, udid: str) -> None:
        """Take the answer of a device; one to a command that is not ours, or not its own, is nothing."""
        if event.command_uuid is None or event.status in {None, "Idle"}:
            return
        command = tx.mdm_commands.find(event.command_uuid)
        if command is None or command.udid != udid:
            return
        held = hold(tx, command, tx.now + 2 * self._wait)
        command = tx.mdm_commands.find(command.uuid)  # as it is, now that nobody else can change it
        if command is None or command.status in ANSWERED:
            return
        if event.status == "NotNow":
            if command.status in OPEN:
                tx.mdm_commands.settle([command.uuid], CommandStatus.NOT_NOW)
        elif held is None:
            self._take_late(tx, command, event)
        else:
            self._take(tx, held, command, event)

    def _take_late(self, tx: Transaction, command: MdmCommand, event: MdmEvent) -> None:
        status = CommandStatus.ACKNOWLEDGED if event.status == "Acknowledged" else CommandStatus.REFUSED
        is_change = command.deployment_id is not None and command.request_type in CHANGES
        if is_change and status is CommandStatus.ACKNOWLEDGED:
            assert command.deployment_id is not None
            status = CommandStatus.UNCLEAR
            installs = command.request_type is RequestType.INSTALL_PROFILE
            tx.mdm_leases.look_again(command.deployment_id, tx.now, after_removal=not installs)
        tx.mdm_commands.settle([command.uuid], status)

    def _take(self, tx: Transaction, held: Deployment, command: MdmCommand, event: MdmEvent) -> None:
        is_done = event.status == "Acknowledged"
        match command.request_type:
            case RequestType.INSTALL_PROFILE if is_done:
                tx.mdm_commands.settle([command.uuid], CommandStatus.ACKNOWLEDGED)
                tx.mdm_leases.note([held.id], None, None)
                until = tx.now + 2 * self._wait
                self._outcomes.deliver(tx, held, until, DEPLOYER)
                self._look(tx, held, command)
            case RequestType.REMOVE_PROFILE:
                # An error may say that there is no such profile: the list tells.
                status = CommandStatus.ACKNOWLEDGED if is_done else CommandStatus.REFUSED
                tx.mdm_commands.settle([command.uuid], status)
                noted = (None, None) if is_done else (REFUSED, read_reason(event.said))
                tx.mdm_leases.note([held.id], *noted)
                self._look(tx, held, command)
            case RequestType.PROFILE_LIST | RequestType.CERTIFICATE_LIST if is_done:
                found = self._is_listed(tx, held, command.request_type, event)
                if found is None:
                    self._take_no_list(tx, held, command, "The answer is not a list.")
                    return
                status = CommandStatus.FOUND if found else CommandStatus.MISSING
                tx.mdm_commands.settle([command.uuid], status)
                self._judge(tx, held, command)
            case RequestType.PROFILE_LIST | RequestType.CERTIFICATE_LIST:
                self._take_no_list(tx, held, command, read_reason(event.said))
            case _:
                self._refuse(tx, held, command, _explained(command.request_type, read_reason(event.said)))

    def _take_no_list(self, tx: Transaction, held: Deployment, command: MdmCommand, reason: str) -> None:
        """Take the refusal of a list. A device that took the profile may have no right to show it.

        The deployment stays delivered, with the reason: to fail it would release the key again.
        """
        if held.state is not DeploymentState.DELIVERED:
            self._refuse(tx, held, command, reason)
            return
        tx.mdm_commands.settle([command.uuid], CommandStatus.REFUSED)
        tx.mdm_leases.note([held.id], REFUSED, _refused(command, reason))
        self._judge(tx, held, command)

    def _refuse(self, tx: Transaction, held: Deployment, command: MdmCommand, reason: str) -> None:
        tx.mdm_commands.settle([command.uuid], CommandStatus.REFUSED)
        self._outcomes.fail(tx, held, REFUSED, _refused(command, reason), DEPLOYER)

    def _look(self, tx: Transaction, held: Deployment, command: MdmCommand) -> None:
        assert command.lease is not None
        wanted, now = lists_for(held), tx.now
        record_next(tx, held.id, command.lease, command.udid, wanted, now)

    def _is_listed(
        self, tx: Transaction, held: Deployment, request_type: RequestType, event: MdmEvent
    ) -> bool | None:
        """Return whether what is wanted (or is to go) stands in a list; None where it is no such list."""
        if request_type is RequestType.CERTIFICATE_LIST:
            listed = read_identity_fingerprints(event.said)
            return None if listed is None else self._fingerprint(tx, held) in listed
        profiles = read_profiles(event.said)
        if profiles is None:
            return None
        identifier = profile_identifier(str(held.policy_id), held.identity, self._namespace)
        uuids = {each.uuid.lower() for each in profiles if each.identifier == identifier}
        if held.certificate_id is None:
            return bool(uuids)
        # Its UUID too: the device may have the same certificate under the policy as it was before.
        policy = tx.policies.find(held.policy_id).policy
        return profile_uuid(identifier, policy, self._fingerprint(tx, held)).lower() in uuids

    def _fingerprint(self, tx: Transaction, held: Deployment) -> str:
        if held.certificate_id is None:
            return ""
        return tx.certificates.find(held.certificate_id).facts.fingerprint_sha256

    def _judge(self, tx: Transaction, held: Deployment, command: MdmCommand) -> None:
        """Conclude from the lists, once all of the last round are there."""
        assert command.lease is not None
        commands = tx.mdm_commands.of(held.id, command.udid)
        round_ = [latest(commands, command.lease, each) for each in lists_for(held)]
        statuses = {None if each is None else each.status for each in round_}
        if command.uuid not in {None if each is None else each.uuid for each in round_}:
            return  # of an earlier round: what followed from that is under way
        if not statuses <= {CommandStatus.FOUND, CommandStatus.MISSING, CommandStatus.REFUSED}:
            return
        if CommandStatus.REFUSED in statuses and CommandStatus.MISSING not in statuses:
            tx.mdm_leases.renew(held.id, command.lease, tx.now + self._wait + _ASK_REFUSED_AGAIN)
            return
        is_there = statuses == {CommandStatus.FOUND}
        changes = [each for each in commands if each.request_type in CHANGES]
        if held.certificate_id is not None and is_there:
            _close(tx, changes, command)
            self._outcomes.install(tx, held, DEPLOYER)
            return
        if held.certificate_id is None and not is_there:  # only what installs could change that
            changes = [each for each in changes if each.request_type is RequestType.INSTALL_PROFILE]
        if not self._is_waiting(tx, changes):
            self._conclude(tx, held, command, commands, is_there=is_there)

    def _is_waiting(self, tx: Transaction, changes: list[MdmCommand]) -> bool:
        """Tell whether an earlier command may still be carried out; what is silent for a second time may not.

        An MDM server keeps the order, so a device that answered the lists has seen what came before them, but
        it may have put that off, and the word of that may be lost: then it would be done twice.
        """
        silent = [each.uuid for each in changes if each.status in OPEN[:-1]]
        if silent:
            tx.mdm_commands.settle(silent, CommandStatus.DOUBTFUL)
            return True
        given_up = (CommandStatus.DOUBTFUL, CommandStatus.UNCLEAR)
        tx.mdm_commands.settle(
            [each.uuid for each in changes if each.status in given_up], CommandStatus.LOST
        )  # fmt: skip
        return False

    def _conclude(
        self,
        tx: Transaction,
        held: Deployment,
        command: MdmCommand,
        commands: list[MdmCommand],
        *,
        is_there: bool,
    ) -> None:
        """Go on where the device has not what it should have, or still has what it should not."""
        assert command.lease is not None
        if held.certificate_id is None and not is_there:
            _close(tx, [each for each in commands if each.request_type in CHANGES], command)
            self._outcomes.remove(tx, held, DEPLOYER)
            return
        kind = CHANGES[0] if held.certificate_id is not None else CHANGES[1]
        last = latest(commands, command.lease, kind)
        if last is None or last.status not in ANSWERED:
            record_next(tx, held.id, command.lease, command.udid, [kind], tx.now)
        elif kind is RequestType.INSTALL_PROFILE:
            detail = "The device acknowledged the profile, but does not list it with its certificate."
            self._outcomes.fail(tx, held, NOT_ON_DEVICE, detail, DEPLOYER)
        elif held.error_code == REFUSED:
            self._refuse(tx, held, last, held.error_detail or "")
        else:
            detail = "The device acknowledged the removal, but still lists the profile."
            self._outcomes.fail(tx, held, "still_on_device", detail, DEPLOYER)


def _close(tx: Transaction, changes: list[MdmCommand], command: MdmCommand) -> None:
    """Note that what was sent under the lease of a command was carried out: the device was seen to be so."""
    mine = [each.uuid for each in changes if each.lease == command.lease]
    tx.mdm_commands.settle(mine, CommandStatus.ACKNOWLEDGED)
    unclear = [each.uuid for each in changes if each.status is CommandStatus.UNCLEAR]
    tx.mdm_commands.settle([each for each in unclear if each not in mine], CommandStatus.LOST)


def _refused(command: MdmCommand, reason: str) -> str:
    return f"The device refused {command.request_type}: {reason}"


def _explained(request_type: RequestType, reason: str) -> str:
    is_misleading = request_type is RequestType.INSTALL_PROFILE and "password" in reason.lower()
    return reason + _HINT if is_misleading else reason
