"""Devices as the Citrix-compatible API lists them: a device identity, and how its deployments stand."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bulkcert.values.certificates import DeviceCertificate
from bulkcert.values.deployment_states import DeploymentState
from bulkcert.values.identities import DeviceIdentity

_UNDER_WAY = (
    DeploymentState.PENDING, DeploymentState.LEASED, DeploymentState.DELIVERED, DeploymentState.REMOVING,
)  # fmt: skip
_STUCK = (DeploymentState.FAILED, DeploymentState.CONFLICT)


@dataclass(frozen=True)
class Device:
    """A device identity for which something is, or was, kept.

    id: of the first certificate that was ever kept for it; new ones and deletions do not change it.
    last_seen_at: when the MDM server last heard of the device; None where it never told so.
    deployments: how many of its deployments are in which state.
    """

    id: int
    identity: DeviceIdentity
    last_seen_at: datetime | None
    deployments: Mapping[DeploymentState, int]

    @property
    def pending(self) -> int:
        """How many deployments are on their way, or their removal is."""
        return self._count(_UNDER_WAY)

    @property
    def installed(self) -> int:
        """How many deployments were seen on the device."""
        return self._count((DeploymentState.INSTALLED,))

    @property
    def failed(self) -> int:
        """How many deployments failed, or wait for somebody to say which device is meant."""
        return self._count(_STUCK)

    def _count(self, states: tuple[DeploymentState, ...]) -> int:
        return sum(self.deployments.get(state, 0) for state in states)


@dataclass(frozen=True)
class DeviceRecord:
    """A device with every certificate that was ever kept for it, the oldest first."""

    device: Device
    certificates: tuple[DeviceCertificate, ...]


class DeviceOrder(enum.StrEnum):
    """How a list of devices is sorted."""

    ID = "id"
    IDENTITY = "identity"


@dataclass(frozen=True)
class DeviceQuery:
    """Which devices to list: those in whose identity `text` stands (None: all), `limit` from `start` on."""

    text: str | None
    start: int
    limit: int
    order: DeviceOrder
    is_descending: bool


@dataclass(frozen=True)
class DeviceList:
    """A part of a list of devices. matched: how many answer to the text; total: how many there are."""

    devices: tuple[Device, ...]
    matched: int
    total: int
