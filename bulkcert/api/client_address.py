"""The client's address behind proxies: the last address in the list that is not a trusted proxy.

A client may write anything into `X-Forwarded-For`; each proxy appends the address that it saw. So the list is
read from its end, as long as trusted proxies wrote it.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN = "unknown"
"""The common source of all clients whose address cannot be parsed."""

_LONGEST = 64
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


class ClientAddress:
    """WSGI middleware that sets REMOTE_ADDR to the client's address. trusted: the networks of the proxies."""

    def __init__(self, app: "WSGIApplication", trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Set the address and call the app."""
        environ["REMOTE_ADDR"] = source_of(environ, self._trusted)
        return self._app(environ, start_response)


def source_of(environ: "WSGIEnvironment", trusted: Sequence[Network]) -> str:
    """Return the address of the client of a request."""
    peer: str = environ.get("REMOTE_ADDR", "")
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    return peer if forwarded is None else find_client(peer, forwarded, trusted)


def find_client(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Return the client's address, or `UNKNOWN` where a trusted proxy wrote one that cannot be parsed.

    peer: the address of the connection. forwarded: the header `X-Forwarded-For`, the entry of the nearest
    proxy last.
    """
    address = _read(peer)
    rest = forwarded
    while address is not None and _is_in(address, trusted) and rest:
        rest, _, last = rest.rpartition(",")
        address = _read(last.strip())
    if address is None:
        return UNKNOWN if peer else ""
    return str(address)


def _read(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address with or without a port; an IPv4-mapped IPv6 address becomes the IPv4 address."""
    if len(text) > _LONGEST:
        return None
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
