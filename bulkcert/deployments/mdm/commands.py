"""Commands as devices read them, and their names."""

import plistlib
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bulkcert.store.sql.topics import MDM
from bulkcert.store.transaction import Transaction
from bulkcert.values.deployments import Deployment
from bulkcert.values.mdm import CommandStatus, MdmCommand, RequestType
from bulkcert.values.secret import Secret

_NAMESPACE = uuid.UUID("6f1c3f5e-3b0f-5d0a-9d8e-0c6f2b6d7a41")

_QUERIES = ("UDID", "SerialNumber", "IMEI", "MEID", "ServiceSubscriptions", "IsSupervised")


def command_uuid(deployment_id: int, lease: str, request_type: RequestType, number: int) -> str:
    """Name the n-th command of a kind under a lease: always the same, so that it is carried out once."""
    return str(uuid.uuid5(_NAMESPACE, f"{deployment_id}.{lease}.{request_type}.{number}"))


def write_command(
    name: str, request_type: RequestType, *, profile: Secret | None = None, identifier: str | None = None
) -> Secret:
    """Write a command as NanoMDM takes it: a property list. It holds the profile's secrets, if any.

    profile: of InstallProfile; identifier: of RemoveProfile.
    """
    command: dict[str, Any] = {"RequestType": str(request_type)}
    match request_type:
        case RequestType.INSTALL_PROFILE:
            assert profile is not None
            command["Payload"] = profile.reveal()
        case RequestType.REMOVE_PROFILE:
            command["Identifier"] = identifier
        case RequestType.PROFILE_LIST | RequestType.CERTIFICATE_LIST:
            command["ManagedOnly"] = False
        case RequestType.DEVICE_INFORMATION:
            command["Queries"] = list(_QUERIES)
    return Secret(plistlib.dumps({"CommandUUID": name, "Command": command}))


def record_next(
    tx: Transaction, deployment_id: int, lease: str, udid: str, wanted: Sequence[RequestType], now: datetime
) -> None:
    """Record one more command of each of some kinds under a lease; the carrier sends them."""
    known = [each.request_type for each in tx.mdm_commands.of(deployment_id, udid) if each.lease == lease]
    for request_type in wanted:
        name = command_uuid(deployment_id, lease, request_type, known.count(request_type) + 1)
        waiting = CommandStatus.WAITING
        tx.mdm_commands.record(MdmCommand(name, udid, request_type, deployment_id, lease, now, waiting))
    tx.notify(MDM)


def record_question(tx: Transaction, udid: str, now: datetime) -> None:
    """Record that a device is to be asked who it is."""
    request_type, waiting = RequestType.DEVICE_INFORMATION, CommandStatus.WAITING
    name = str(uuid.uuid5(_NAMESPACE, f"{udid}.{request_type}.{now.isoformat()}"))
    tx.mdm_commands.record(MdmCommand(name, udid, request_type, None, None, now, waiting))
    tx.notify(MDM)


def hold(tx: Transaction, command: MdmCommand, until: datetime) -> Deployment | None:
    """Keep the deployment of a command in hand until then; None where it is not, or there is none."""
    if command.deployment_id is None or command.lease is None:
        return None
    if not tx.mdm_leases.renew(command.deployment_id, command.lease, until):
        return None
    return tx.deployments.find(command.deployment_id)


def latest(commands: Sequence[MdmCommand], lease: str, request_type: RequestType) -> MdmCommand | None:
    """Find the last command of a kind under a lease, among those of its deployment."""
    mine = {each.uuid: each for each in commands if (each.lease, each.request_type) == (lease, request_type)}
    if not mine:
        return None
    some = next(iter(mine.values()))
    assert some.deployment_id is not None
    return mine.get(command_uuid(some.deployment_id, lease, request_type, len(mine)))
