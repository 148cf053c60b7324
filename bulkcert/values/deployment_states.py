"""Where a deployment stands: what a VPN policy wants on one device."""

import enum


class DeploymentState(enum.StrEnum):
    """The states of a deployment."""

    PENDING = "pending"
    LEASED = "leased"
    DELIVERED = "delivered"
    INSTALLED = "installed"
    FAILED = "failed"
    CONFLICT = "conflict"
    REMOVING = "removing"
    REMOVED = "removed"
    SUPERSEDED = "superseded"
