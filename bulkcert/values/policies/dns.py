"""The name servers that a device uses while the tunnel is up."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from bulkcert.errors.root import Fault
from bulkcert.values.policies.documents import Draft, Part
from bulkcert.values.policies.kinds import Flag, Many, OneOf, Text
from bulkcert.values.policies.texts import no_host_name, no_ip_address, no_match_domain, no_secure_web_address


class DnsProtocol(enum.StrEnum):
    """How the device speaks to the name servers: DNS, DNS over HTTPS (RFC 8484), DNS over TLS (RFC 7858)."""

    CLEARTEXT = "Cleartext"
    HTTPS = "HTTPS"
    TLS = "TLS"


@dataclass(frozen=True)
class Dns(Part):
    """Name servers and the domains they are for.

    servers: IP addresses. server_url: for HTTPS alone, and required there. server_name: for TLS alone, and
    required there. domain: the tunnel's own. match_domains: only these are asked for through the tunnel; the
    empty text stands for all others. match_domains_are_searched: they complete short names as well.
    """

    servers: Annotated[tuple[str, ...], Many(Text(no_ip_address), least=1, most=20)]
    protocol: Annotated[DnsProtocol, OneOf(DnsProtocol)] = DnsProtocol.CLEARTEXT
    server_url: Annotated[str | None, Text(no_secure_web_address, longest=1000)] = None
    server_name: Annotated[str | None, Text(no_host_name)] = None
    domain: Annotated[str | None, Text(no_host_name)] = None
    search_domains: Annotated[tuple[str, ...], Many(Text(no_host_name))] = ()
    match_domains: Annotated[tuple[str, ...], Many(Text(no_match_domain, shortest=0))] = ()
    match_domains_are_searched: Annotated[bool, Flag()] = True

    @classmethod
    def faults_between(cls, draft: Draft) -> Iterator[Fault]:
        """Hold `server_url` to HTTPS and `server_name` to TLS, as Apple's schema does."""
        for name, protocol in (("server_url", DnsProtocol.HTTPS), ("server_name", DnsProtocol.TLS)):
            if "protocol" not in draft.members or name not in draft.members:
                continue
            is_given, is_wanted = draft.get(name) is not None, draft.get("protocol") is protocol
            if is_given != is_wanted:
                verb = "is required with" if is_wanted else "is only for"
                yield Fault(name, f"This member {verb} the protocol {protocol} (Apple).")
