"""Which MDM server there is, and its keys, sealed."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from bulkcert.errors.mdm import BadMdmAddress
from bulkcert.store.store import Store
from bulkcert.values.events import Event, EventType
from bulkcert.values.mdm import NANOMDM, MdmServer
from bulkcert.values.secret import Secret
from bulkcert.vault.places import API_KEY_PLACE, WEBHOOK_KEY_PLACE
from bulkcert.vault.vault import Vault

_LONGEST_URL = 500
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True)
class Address:
    """Where an MDM server listens. path: what its own paths come after, without a slash at its end."""

    is_https: bool
    host: str
    port: int
    path: str


def read_address(url: str, *, allows_http: bool) -> Address:
    """Read the URL of an MDM server; raises `BadMdmAddress`.

    allows_http: plain HTTP to other machines too; to this machine itself it always is allowed.
    """
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadMdmAddress("The URL is too long, or holds characters that no URL has.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadMdmAddress("The URL cannot be read.") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise BadMdmAddress("The URL begins neither with https:// nor with http://, or names no host.")
    if "@" in parts.netloc or parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
        raise BadMdmAddress("The URL holds more than a host, a port and a plain path.")
    is_https = parts.scheme == "https"
    if not (is_https or allows_http or _is_loopback(host)):
        raise BadMdmAddress("Plain HTTP would show keys of devices to the network; use https://.")
    return Address(is_https, host, port or (443 if is_https else 80), parts.path.rstrip("/"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class MdmServers:
    """The MDM server of this service."""

    def __init__(
        self, store: Store, vault: Vault, now: Callable[[], datetime], *, allows_http: bool = False
    ) -> None:
        self._store = store
        self._vault = vault
        self._now = now
        self._allows_http = allows_http

    def set(self, url: str, api_key: Secret, webhook_key: Secret, actor: str) -> None:
        """Keep how to talk to the server, in the place of what was known; raises `BadMdmAddress`."""
        read_address(url, allows_http=self._allows_http)
        with self._store.writing() as tx:
            now = self._now()
            sealed = (
                self._vault.seal(api_key, API_KEY_PLACE),
                self._vault.seal(webhook_key, WEBHOOK_KEY_PLACE),
            )
            tx.mdm.set_server(NANOMDM, MdmServer(url, *sealed, now))
            tx.events.append(Event(EventType.MDM_SERVER_CHANGED, now, actor, {"url": url}))
        self._store.scrub()

    def is_set(self) -> bool:
        """Return whether a server was set."""
        with self._store.reading() as tx:
            return tx.mdm.has_server(NANOMDM)

    def find(self) -> MdmServer | None:
        """Find the server; None where none was set. Raises `MdmForged`."""
        with self._store.reading() as tx:
            return tx.mdm.server(NANOMDM)

    def address(self, server: MdmServer) -> Address:
        """Tell where a server listens; raises `BadMdmAddress` where the settings do not allow it any more."""
        return read_address(server.url, allows_http=self._allows_http)

    def api_key(self, server: MdmServer) -> Secret:
        """Open the key that the server asks of this service."""
        return self._vault.open(server.sealed_api_key, API_KEY_PLACE)

    def webhook_key(self, server: MdmServer) -> Secret:
        """Open the key that the server signs webhooks with."""
        return self._vault.open(server.sealed_webhook_key, WEBHOOK_KEY_PLACE)
