"""The listener of tests/deployments/mdm/nanomdm/server.py: HTTP/1.1 with keep-alive on loopback, a log of requests, spoiled answers."""

import contextlib
import dataclasses
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>\n"


@dataclasses.dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ApiFault:
    """See MdmServer.fail."""

    kind: str
    times: int
    after: bool
    seconds: float
    path: str


SPOILED = {
    "error": Answer(500, b"Internal Server Error\n", "text/plain; charset=utf-8"),
    "html": Answer(502, HTML, "text/html"),
    "garbage": Answer(200, HTML, "text/html"),
}
CUT = {"hang", "close"}


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A request as it came; status: what was answered, None where the connection was cut; fault: what was spoiled."""

    method: str
    target: str
    body: bytes
    headers: dict[str, str]
    status: int | None
    fault: str | None
    at: float  # time.monotonic()


Responder = Callable[[str, str, str | None, bytes], Answer]


class MdmListener:
    """Serves `respond` on a port of 127.0.0.1 (0: a free one) until it is closed."""

    def __init__(
        self,
        respond: Responder,
        fault_for: Callable[[str], ApiFault | None],
        requests: list[Recorded],
        port: int = 0,
    ) -> None:
        self._server = _Server(("127.0.0.1", port), _Conversation)
        self._server.respond, self._server.fault_for, self._server.requests = respond, fault_for, requests
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.ended.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
        self._server.cut_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    respond: Responder
    fault_for: Callable[[str], ApiFault | None]
    requests: list[Recorded]

    def __init__(self, address: tuple[str, int], conversation: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(address, conversation)
        self.ended = threading.Event()
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def close_request(self, request: Any) -> None:
        self._open.discard(request)
        super().close_request(request)

    def cut_all(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news in a test."""


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault_for(self.path)
        answer: Answer | None = None
        if fault is None or fault.after:
            answer = self.server.respond(self.command, self.path, self.headers.get("Authorization"), body)
        if fault is not None:
            answer = SPOILED.get(fault.kind)
        self._record(body, answer, fault)
        if answer is not None:
            self._write(answer)
        elif fault is not None:
            self._cut(fault)

    do_PUT = do_POST = do_DELETE = do_GET

    def _record(self, body: bytes, answer: Answer | None, fault: ApiFault | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, kind = answer.status if answer else None, fault.kind if fault else None
        self.server.requests.append(
            Recorded(self.command, self.path, body, headers, status, kind, time.monotonic())
        )

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _cut(self, fault: ApiFault) -> None:
        if fault.kind == "hang":
            self.server.ended.wait(fault.seconds or None)
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing: `requests` is the log."""
