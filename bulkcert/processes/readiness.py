"""When the service is ready: whether its port answers, and what the service manager is told.

Protocol: sd_notify(3). NOTIFY_SOCKET names a Unix datagram socket; an `@` at its beginning stands for the
zero byte of an abstract one.
"""

import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import MutableMapping
from dataclasses import dataclass

_ANSWER_SECONDS = 5.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound


@dataclass(frozen=True)
class ServiceManager:
    """The service manager that started this process; none where `address` is None."""

    address: str | None

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "ServiceManager":
        """Take the address out of an environment, so that processes started later do not use it."""
        return cls(environ.pop("NOTIFY_SOCKET", None) or None)

    def tell_ready(self) -> None:
        """Say that the service is ready."""
        self._send(b"READY=1")

    def tell_stopping(self) -> None:
        """Say that the service is stopping."""
        self._send(b"STOPPING=1")

    def _send(self, state: bytes) -> None:
        if self.address is None:
            return
        name = os.fsencode(self.address)
        if name.startswith(b"@"):
            name = b"\0" + name[1:]
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            datagrams.sendto(state, name)


def answers(address: str, port: int, *, is_tls: bool) -> bool:
    """Return whether the server on an IP address of this machine answers a request."""
    host = _ANY_ADDRESS.get(address, address)
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    if is_tls:
        # It is this process's own server, and nothing is sent: its certificate need not name the address.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_ANSWER_SECONDS, context=context)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health/live")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False
