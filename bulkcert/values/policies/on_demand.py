"""When a device brings an IKEv2 tunnel up or down by itself, and what goes through it.

Always On policies have none of this: their tunnel is up.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from bulkcert.errors.root import Fault
from bulkcert.values.policies.documents import Draft, Part, PartOf
from bulkcert.values.policies.kinds import Flag, Many, OneOf, Text
from bulkcert.values.policies.texts import (
    no_address_pattern,
    no_domain_pattern,
    no_ip_address,
    no_ssid,
    no_web_address,
)


class OnDemandAction(enum.StrEnum):
    """What a rule does. Apple's deprecated `Allow` is not taken."""

    CONNECT = "Connect"
    DISCONNECT = "Disconnect"
    EVALUATE_CONNECTION = "EvaluateConnection"
    IGNORE = "Ignore"


class DomainAction(enum.StrEnum):
    """What an evaluation does for its domains."""

    CONNECT_IF_NEEDED = "ConnectIfNeeded"
    NEVER_CONNECT = "NeverConnect"


class InterfaceType(enum.StrEnum):
    """The network interface that a rule is for."""

    ETHERNET = "Ethernet"
    WIFI = "WiFi"
    CELLULAR = "Cellular"


@dataclass(frozen=True)
class Evaluation(Part):
    """What a rule with `EvaluateConnection` does for some domains."""

    domains: Annotated[tuple[str, ...], Many(Text(no_domain_pattern), least=1)]
    action: Annotated[DomainAction, OneOf(DomainAction)]
    required_dns_servers: Annotated[tuple[str, ...], Many(Text(no_ip_address), most=20)] = ()
    required_url_probe: Annotated[str | None, Text(no_web_address, longest=1000)] = None

    @classmethod
    def faults_between(cls, draft: Draft) -> Iterator[Fault]:
        """Hold what a connection is needed for to `ConnectIfNeeded`, as Apple's schema does."""
        if draft.get("action") is DomainAction.NEVER_CONNECT:
            for name in ("required_dns_servers", "required_url_probe"):
                if draft.get(name):
                    yield Fault(name, "This member is only for the action ConnectIfNeeded (Apple).")


@dataclass(frozen=True)
class OnDemandRule(Part):
    """A rule: it acts where all that it names matches; Apple's systems take the first that matches.

    ssids: names of wireless networks. dns_domains: search domains of the network, `*.example.com` too.
    dns_servers: name servers of the network, `17.*` too. url_probe: matches where this URL answers 200.
    """

    action: Annotated[OnDemandAction, OneOf(OnDemandAction)]
    interface_type: Annotated[InterfaceType | None, OneOf(InterfaceType)] = None
    ssids: Annotated[tuple[str, ...], Many(Text(no_ssid))] = ()
    dns_domains: Annotated[tuple[str, ...], Many(Text(no_domain_pattern))] = ()
    dns_servers: Annotated[tuple[str, ...], Many(Text(no_address_pattern))] = ()
    url_probe: Annotated[str | None, Text(no_web_address, longest=1000)] = None
    evaluations: Annotated[tuple[Evaluation, ...], Many(PartOf(Evaluation))] = ()

    @classmethod
    def faults_between(cls, draft: Draft) -> Iterator[Fault]:
        """Hold evaluations to the action that evaluates, and names of networks to Wi-Fi."""
        if "action" in draft.members and "evaluations" in draft.members:
            evaluates = draft.get("action") is OnDemandAction.EVALUATE_CONNECTION
            if evaluates != bool(draft.get("evaluations")):
                yield Fault("evaluations", "These are for the action EvaluateConnection, and required there.")
        if draft.get("ssids") and draft.get("interface_type") not in {None, InterfaceType.WIFI}:
            yield Fault("ssids", "Only Wi-Fi networks have such a name: the rule would never match.")


@dataclass(frozen=True)
class OnDemand(Part):
    """Rules, the first that matches acting; and whether the user is kept from turning them off."""

    rules: Annotated[tuple[OnDemandRule, ...], Many(PartOf(OnDemandRule), least=1)]
    user_override_disabled: Annotated[bool, Flag()] = False


@dataclass(frozen=True)
class Routing(Part):
    """What goes through a plain IKEv2 tunnel; defaults are Apple's.

    The exclusions act where all networks are included, the one of local networks where routes are enforced
    too.
    """

    include_all_networks: Annotated[bool, Flag()] = False
    enforce_routes: Annotated[bool, Flag()] = False
    exclude_local_networks: Annotated[bool, Flag()] = True
    exclude_cellular_services: Annotated[bool, Flag()] = True
    exclude_apns: Annotated[bool, Flag()] = True
    exclude_device_communication: Annotated[bool, Flag()] = True
