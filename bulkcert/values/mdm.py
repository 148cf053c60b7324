"""What the built-in deployer keeps of an MDM server: its commands, the devices, and who is pinned to what."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bulkcert.values.identities import DeviceIdentity, IdentityType

NANOMDM = "nanomdm"
"""The id of the one MDM server that there is."""

DEPLOYER = "mdm:nanomdm"
"""Who holds the leases of the built-in deployer. Its processes are one deployer: tokens keep work apart."""


class RequestType(StrEnum):
    """The commands that are sent, by Apple's names."""

    INSTALL_PROFILE = "InstallProfile"
    REMOVE_PROFILE = "RemoveProfile"
    PROFILE_LIST = "ProfileList"
    CERTIFICATE_LIST = "CertificateList"
    DEVICE_INFORMATION = "DeviceInformation"


CHANGES = (RequestType.INSTALL_PROFILE, RequestType.REMOVE_PROFILE)
"""The commands that change what a device has."""


class CommandStatus(StrEnum):
    """How far a command is.

    waiting: recorded, and offered to nobody yet. sending: offered to the MDM server; whether that has it is
    not known. sent: the server has it. not_now: the device put it off, and will be offered it again.
    doubtful: the device answered a later command, and nothing was heard of this one. acknowledged, refused:
    the device said so. found, missing: a list was answered, and what was looked for stands in it or does not.
    unclear: it may have been done at a time that is not known; the device is asked before anything else.
    lost: nothing will be heard of it.
    """

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    NOT_NOW = "not_now"
    DOUBTFUL = "doubtful"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    FOUND = "found"
    MISSING = "missing"
    UNCLEAR = "unclear"
    LOST = "lost"


OPEN = (CommandStatus.SENDING, CommandStatus.SENT, CommandStatus.NOT_NOW, CommandStatus.DOUBTFUL)
"""The device may have it before it, or have done it already."""

ANSWERED = (
    CommandStatus.ACKNOWLEDGED, CommandStatus.REFUSED, CommandStatus.FOUND, CommandStatus.MISSING,
)  # fmt: skip
"""What the device says of these again is not listened to."""


@dataclass(frozen=True)
class MdmCommand:
    """A command for one device. deployment_id, lease: what it is for; None where it is for no deployment.

    enqueued_at: when it was recorded, or last offered to the MDM server.
    """

    uuid: str
    udid: str
    request_type: RequestType
    deployment_id: int | None
    lease: str | None
    enqueued_at: datetime
    status: CommandStatus


@dataclass(frozen=True)
class MdmServer:
    """An MDM server as it is kept."""

    url: str
    sealed_api_key: bytes
    sealed_webhook_key: bytes
    updated_at: datetime


@dataclass(frozen=True)
class Claims:
    """Who a device says it is, in normal form. A device may have several IMEIs (one for each SIM)."""

    serial_number: str | None = None
    imeis: tuple[str, ...] = ()
    meids: tuple[str, ...] = ()

    def identities(self) -> tuple[DeviceIdentity, ...]:
        """List all of it as device identities."""
        serial_numbers = () if self.serial_number is None else (self.serial_number,)
        kinds = (
            (IdentityType.SERIAL_NUMBER, serial_numbers),
            (IdentityType.IMEI, self.imeis),
            (IdentityType.MEID, self.meids),
        )
        return tuple(DeviceIdentity(kind, value) for kind, values in kinds for value in values)


@dataclass(frozen=True)
class MdmDevice:
    """A device that the MDM server told of. is_supervised: None as long as it was not asked."""

    udid: str
    claims: Claims
    is_supervised: bool | None
    is_enrolled: bool
    last_seen_at: datetime


@dataclass(frozen=True)
class Pin:
    """Which device an identity belongs to. contender_udid: another that claims it, until that is decided.

    refused_udids: those that were decided against, the last of them. is_forged: whether the row is
    not as the service wrote it.
    """

    identity: DeviceIdentity
    udid: str
    pinned_at: datetime
    contender_udid: str | None
    refused_udids: tuple[str, ...] = ()
    is_forged: bool = False
