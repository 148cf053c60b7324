"""VPN policies, valid by Apple's rules once they exist, and the words for their deployments."""

from bulkcert.values.deployment_states import DeploymentState
from bulkcert.values.policies.dns import Dns, DnsProtocol
from bulkcert.values.policies.exceptions import (
    ApplicationException,
    CaptivePortal,
    ExceptionAction,
    Protocol,
    ServiceExceptions,
)
from bulkcert.values.policies.on_demand import (
    DomainAction,
    Evaluation,
    InterfaceType,
    OnDemand,
    OnDemandAction,
    OnDemandRule,
    Routing,
)
from bulkcert.values.policies.policy import ConnectionType, ProfileTexts, VpnPolicy
from bulkcert.values.policies.templates import Field, fill
from bulkcert.values.policies.tunnels import (
    DeadPeerDetection,
    EncryptionAlgorithm,
    IntegrityAlgorithm,
    Interface,
    SecurityAssociation,
    Tunnel,
)

__all__ = [
    "ApplicationException",
    "CaptivePortal",
    "ConnectionType",
    "DeadPeerDetection",
    "DeploymentState",
    "Dns",
    "DnsProtocol",
    "DomainAction",
    "EncryptionAlgorithm",
    "Evaluation",
    "ExceptionAction",
    "Field",
    "IntegrityAlgorithm",
    "Interface",
    "InterfaceType",
    "OnDemand",
    "OnDemandAction",
    "OnDemandRule",
    "ProfileTexts",
    "Protocol",
    "Routing",
    "SecurityAssociation",
    "ServiceExceptions",
    "Tunnel",
    "VpnPolicy",
    "fill",
]
