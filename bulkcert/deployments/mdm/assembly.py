"""The parts of the built-in deployer, put together: what the APIs need of it, and the carrier."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bulkcert.deployments.mdm.answers import Answers
from bulkcert.deployments.mdm.carrier import Carrier
from bulkcert.deployments.mdm.nanomdm_client import NanoMdm
from bulkcert.deployments.mdm.pins import MdmDevices
from bulkcert.deployments.mdm.sender import Sender
from bulkcert.deployments.mdm.server_settings import MdmServers
from bulkcert.deployments.mdm.webhook import MdmWebhook
from bulkcert.deployments.profile_release import ProfileRelease
from bulkcert.errors import BadSettings, Fault
from bulkcert.errors.mdm import MdmNotConfigured
from bulkcert.store.store import Store
from bulkcert.values.mdm import MdmServer
from bulkcert.vault.vault import Vault


@dataclass(frozen=True)
class MdmRules:
    """Settings. wait: how long a device may be silent; namespace: what identifiers of profiles begin with.

    ca_file: PEM of whom the server's certificate is verified by, instead of the system's authorities.
    """

    wait: timedelta
    namespace: str
    allows_http: bool = False
    ca_file: Path | None = None


@dataclass(frozen=True)
class Mdm:
    """What the APIs and commands need: the server's settings, the devices, and the webhook."""

    servers: MdmServers
    devices: MdmDevices
    webhook: MdmWebhook

    def take(self, body: bytes, signature: str | None) -> None:
        """Take a webhook (see `MdmWebhook.take`)."""
        self.webhook.take(body, signature)


def make_mdm(store: Store, vault: Vault, now: Callable[[], datetime], rules: MdmRules) -> Mdm:
    """Create what the APIs and commands need."""
    servers = MdmServers(store, vault, now, allows_http=rules.allows_http)
    devices = MdmDevices(store, now)
    answers = Answers(now, rules.wait, rules.namespace)
    return Mdm(servers, devices, MdmWebhook(store, servers, devices, answers, now))


def make_carrier(
    store: Store, vault: Vault, releases: ProfileRelease, now: Callable[[], datetime], rules: MdmRules
) -> Carrier:
    """Put a carrier together; raises `MdmNotConfigured` or `BadSettings` where it could do nothing."""
    servers = MdmServers(store, vault, now, allows_http=rules.allows_http)
    if not servers.is_set():
        raise MdmNotConfigured("No MDM server is set.")
    tls = _trust(rules.ca_file)

    def connect(server: MdmServer) -> NanoMdm:
        return NanoMdm(servers.address(server), servers.api_key(server), tls)

    sender = Sender(store, releases, now, rules.wait, rules.namespace)
    return Carrier(store, servers, sender, connect, now, rules.wait)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        fault = Fault("BULKCERT_MDM_CA_FILE", f"{ca_file} is missing, cannot be read, or is no PEM file")
        raise BadSettings("The MDM server's certificate could not be verified.", (fault,)) from None
