"""Deployments, and policies as they are kept: values of what is on its way to devices."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bulkcert.values.deployment_states import DeploymentState
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies.policy import VpnPolicy


@dataclass(frozen=True)
class KeptPolicy:
    """A VPN policy with what the service notes of it. version: 1, and one more with each replacement."""

    id: int
    version: int
    policy: VpnPolicy
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Deployment:
    """What a policy wants on one device, and how far that is.

    certificate_id: what is wanted there; None where nothing is. installed_certificate_id: what the device was
    last seen to have of this policy. attempts: how often it was leased since it was wanted. not_before: when
    it may be leased next; None where only a change or a retry brings it back. handed_at: when a profile left
    last for the device; None where none ever did.
    """

    id: int
    policy_id: int
    policy_name: str
    identity: DeviceIdentity
    state: DeploymentState
    certificate_id: int | None
    installed_certificate_id: int | None
    attempts: int
    not_before: datetime | None
    leased_until: datetime | None
    leased_by: str | None
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    updated_at: datetime
    delivered_at: datetime | None
    installed_at: datetime | None
    handed_at: datetime | None


class Action(StrEnum):
    """The task of a deployer on a device."""

    INSTALL = "install"
    REMOVE = "remove"


@dataclass(frozen=True)
class Lease:
    """A deployment in a deployer's hands. token: shown again with whatever is done with it."""

    deployment: Deployment
    action: Action
    token: str


@dataclass(frozen=True)
class DeploymentFilter:
    """Which deployments to list; None is all."""

    state: DeploymentState | None = None
    policy_id: int | None = None
    identity_type: IdentityType | None = None
    identity: str | None = None
