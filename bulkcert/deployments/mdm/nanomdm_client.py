"""NanoMDM's HTTP API: queue a command, wake devices.

http.client of the standard library: it follows no redirect, and knows no proxy of the environment. Commands
are queued without a push, and devices woken together: a push that fails (no APNs certificate, a device that
is gone) is then no matter of the command, which is queued in any case.

What the server does was seen of a real one: an unknown device is queued for in silence, and a CommandUUID
that it has taken before is an error 500 "command already exists". The latter counts as taken.
"""

import http.client
import json
import math
import selectors
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bulkcert.deployments.mdm.server_settings import Address
from bulkcert.errors.mdm import MdmRefused, MdmUnauthorised, MdmUncertain, MdmUnreachable
from bulkcert.values.secret import Secret

_USER = "nanomdm"
_SECONDS = 10.0
"""To connect, and again for an answer."""

_MOST_ANSWER_BYTES = 256 * 1024
_LONGEST_WORDS = 300
_NOT_NANOMDM = frozenset({404, 405, 410, 501})
_TOO_MUCH = frozenset({400, 411, 413, 414, 415, 422})
_BAD_REQUEST = 400
_PROVEN_SECONDS = 2.0
_NOBODY = "bulkcert"  # no device's id: UDIDs are longer


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes

    def members(self) -> dict[str, Any]:
        """Return the JSON object of the body; an empty one where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class NanoMdm:
    """One connection to a server, kept open. tls: how its certificate is verified; default: by the system."""

    def __init__(
        self,
        address: Address,
        api_key: Secret,
        tls: ssl.SSLContext | None = None,
        *,
        seconds: float = _SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._api_key = api_key
        self._tls = tls
        self._seconds = seconds
        self._monotonic = monotonic
        self._connection: http.client.HTTPConnection | None = None
        self._proven_at = -math.inf

    def prove(self) -> None:
        """Check that NanoMDM answers and accepts the API key, before anything secret is made for it.

        NanoMDM refuses an empty body after it has looked at the key, and queues nothing. No request is made
        where it took a command on the same connection just before. Raises `MdmUnreachable` or
        `MdmUnauthorised`.
        """
        is_open = self._connection is not None and not _was_closed(self._connection)
        if is_open and self._monotonic() - self._proven_at < _PROVEN_SECONDS:
            return
        try:
            answer = self._put(f"/v1/enqueue/{_NOBODY}?nopush=1", b"")
        except MdmUncertain as fault:
            raise MdmUnreachable(fault.detail) from None
        if answer.status != _BAD_REQUEST and "command_error" not in answer.members():
            raise MdmUnreachable(f"What answers there ({answer.status}) is not NanoMDM's API.")
        self._proven_at = self._monotonic()

    def enqueue(self, udid: str, name: str, command: Secret) -> None:
        """Queue a command for a device; returns when the server has it. name: its CommandUUID.

        Raises `MdmUnreachable` or `MdmUnauthorised` (the server does not have it), `MdmUncertain` (it may),
        `MdmRefused` (it does not want it).
        """
        self._proven_at = -math.inf
        answer = self._put(f"/v1/enqueue/{quote(udid, safe='')}?nopush=1", command.reveal())
        members = answer.members()
        trouble = members.get("command_error")
        if trouble is not None:
            if "already exists" not in str(trouble):
                raise MdmRefused(f"The MDM server refused the command: {_words(trouble)}")
        elif answer.status in _TOO_MUCH:
            raise MdmRefused(f"The MDM server refused the command with status {answer.status}.")
        elif str(members.get("command_uuid", "")).lower() != name.lower():
            raise MdmUncertain(f"The MDM server answered {answer.status} without saying what it did.")
        self._proven_at = self._monotonic()

    def push(self, udids: Sequence[str]) -> Mapping[str, str]:
        """Wake devices; gives, for each that could not be woken, the server's words. Raises as `enqueue`."""
        ids = ",".join(quote(udid, safe="") for udid in udids)
        members = self._put(f"/v1/push/{ids}", b"").members()
        if "push_error" in members:
            return dict.fromkeys(udids, _words(members["push_error"]))
        status = members.get("status")
        found = status if isinstance(status, dict) else {}
        return {
            udid: _words(found[udid]["push_error"])
            for udid in udids
            if isinstance(found.get(udid), dict) and "push_error" in found[udid]
        }

    def close(self) -> None:
        """Close the connection."""
        self._proven_at = -math.inf
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _put(self, path: str, body: bytes) -> _Answer:
        was_open = self._connection is not None
        try:
            answer = self._exchange(path, body)
        except MdmUncertain:
            # A connection that was kept may have been closed meanwhile; the same command may be sent again.
            if not was_open:
                raise
            answer = self._again(path, body)
        if answer.status in {401, 403}:
            raise MdmUnauthorised("The MDM server does not accept the API key.")
        if 300 <= answer.status < 400 or answer.status in _NOT_NANOMDM:
            raise MdmUnreachable(f"What answers there ({answer.status}) is not NanoMDM's API.")
        return answer

    def _again(self, path: str, body: bytes) -> _Answer:
        try:
            return self._exchange(path, body)
        except MdmUnreachable as fault:
            raise MdmUncertain(fault.detail) from None  # the first time it may have come through

    def _exchange(self, path: str, body: bytes) -> _Answer:
        if self._connection is not None and _was_closed(self._connection):
            self.close()
        connection = self._connection or self._connect()
        self._connection = connection
        user = _USER.encode() + b":" + self._api_key.reveal()
        headers = {
            "Authorization": "Basic " + b64encode(user).decode(),
            "Content-Type": "application/xml",
            "User-Agent": "bulkcert",
        }
        try:
            connection.request("PUT", self._address.path + path, body, headers)
            with self._patience(connection), connection.getresponse() as response:
                return self._read(response)
        except (OSError, http.client.HTTPException) as fault:
            self.close()
            late = isinstance(fault, TimeoutError)
            why = "did not answer in time" if late else "broke off, or answered something else than HTTP"
            raise MdmUncertain(f"The MDM server {why}.") from None

    @contextmanager
    def _patience(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        """Cut an answer off that comes a byte at a time: the socket's own limit is for each of them."""
        sock = connection.sock

        def cut() -> None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(2 * self._seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _read(self, response: http.client.HTTPResponse) -> _Answer:
        end, content = self._monotonic() + self._seconds, b""
        while part := response.read1(16 * 1024):
            content += part
            if len(content) > _MOST_ANSWER_BYTES or self._monotonic() > end:
                self.close()
                raise MdmUncertain("The MDM server's answer is too long, or comes too slowly.")
        if response.length:  # read1 says nothing of what is missing at the end
            self.close()
            raise MdmUncertain("The MDM server's answer ended too early.")
        if response.will_close:
            self.close()
        return _Answer(response.status, content)

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.host, self._address.port
        connection: http.client.HTTPConnection
        if self._address.is_https:
            tls = self._tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=self._seconds, context=tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._seconds)
        try:
            connection.connect()
        except ssl.SSLError as fault:
            reason = getattr(fault, "verify_message", "") or "the handshake failed"
            raise MdmUnreachable(f"The MDM server's TLS certificate is not accepted: {reason}.") from None
        except socket.gaierror:
            raise MdmUnreachable("The MDM server's host name is not known.") from None
        except OSError:
            raise MdmUnreachable("The MDM server cannot be connected to.") from None
        return connection


def _was_closed(connection: http.client.HTTPConnection) -> bool:
    """Return whether the server closed an idle connection: nothing of a further request would arrive."""
    sock = connection.sock
    if sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _words(trouble: object) -> str:
    """Return what the server says, short and printable."""
    text = "".join(each if each.isprintable() else " " for each in str(trouble)[:_LONGEST_WORDS])
    return " ".join(text.split()) or "it gave no reason."
