"""Rules for texts: names of hosts and domains, addresses, URLs, and what Apple reads in their place."""

import ipaddress
import re
from urllib.parse import urlsplit

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_BUNDLE_IDENTIFIER = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LONGEST_HOST_NAME = 253
_LONGEST_SSID = 32
_HIGHEST_PORT = 65535


def no_ip_address(text: str) -> str | None:
    """Return what keeps a text from being an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "This must be an IPv4 or IPv6 address."
    return "The zone (%) of an address means something on one machine alone." if "%" in text else None


def no_host_name(text: str) -> str | None:
    """Return what keeps a text from being a host or domain name (RFC 1123 §2.1)."""
    if not text.isascii():
        return "This must be a host name in its ASCII form (xn--...)."
    labels = text.split(".")
    if len(text) > _LONGEST_HOST_NAME or not all(map(_LABEL.fullmatch, labels)):
        return "This must be a host name: labels of letters, digits and hyphens, with dots between them."
    if labels[-1].isdigit():  # RFC 1123 §2.1: such a name cannot be told from an address
        return "This is neither an IP address nor a host name."
    return None


def no_host(text: str) -> str | None:
    """Return what keeps a text from being a host name or an IP address."""
    if "%" in text or no_ip_address(text) is None:
        return no_ip_address(text)
    if ":" in text or "/" in text:
        return "This must be a host name or an IP address alone, without scheme, port or path."
    return no_host_name(text)


def no_match_domain(text: str) -> str | None:
    """Return what keeps a text from being a domain, or the empty text, which Apple reads as "all others"."""
    return no_host_name(text) if text else None


def no_domain_pattern(text: str) -> str | None:
    """Return what keeps a text from being a domain, with or without `*` or `*.` before it."""
    return no_host_name(text.removeprefix("*").removeprefix(".") if text.startswith("*") else text)


def no_address_pattern(text: str) -> str | None:
    """Return what keeps a text from being an IP address, or one that ends in a single `*`, as `17.*`."""
    beginning, star, rest = text.partition("*")
    if star and not rest and re.fullmatch(r"([0-9]{1,3}\.){1,3}|([0-9A-Fa-f]{1,4}:){1,7}", beginning):
        return None
    return no_ip_address(text)


def no_ssid(text: str) -> str | None:
    """Return what keeps a text from being the name of a wireless network (IEEE 802.11: 32 octets)."""
    too_long = len(text.encode()) > _LONGEST_SSID
    return f"A network's name has at most {_LONGEST_SSID} octets of UTF-8." if too_long else None


def no_bundle_identifier(text: str) -> str | None:
    """Return what keeps a text from being the bundle identifier of an app."""
    if _BUNDLE_IDENTIFIER.fullmatch(text):
        return None
    return "This must be the bundle identifier of an app, as com.example.app."


def no_web_address(text: str) -> str | None:
    """Return what keeps a text from being an http or https URL."""
    return None if _is_url(text, {"http", "https"}) else "This must be an http or https URL."


def no_secure_web_address(text: str) -> str | None:
    """Return what keeps a text from being an https URL (or its template, RFC 8484 §4.1)."""
    return None if _is_url(text, {"https"}) else "This must be an https URL."


def _is_url(text: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_port = port is None or 0 < port <= _HIGHEST_PORT
    host = parts.hostname or ""
    has_user = "@" in parts.netloc  # it would put a password on every device
    return parts.scheme in schemes and no_host(host) is None and is_port and not has_user and " " not in text
