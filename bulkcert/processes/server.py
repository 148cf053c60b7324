"""The HTTPS server of one machine, and the processes that it keeps alive.

Three kinds of processes. This one listens to signals, and keeps the others alive. The web process (spawned by
granian) answers requests in threads. The workers do the work that imports leave in the database. Why this
server, and what it was measured to withstand: docs/decisions/0031-bodies-have-deadlines.md.
"""

import multiprocessing
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from bulkcert.api.connections import IDLE_SECONDS
from bulkcert.errors import AddressNotUsable, reason_of
from bulkcert.processes.deployer import STOP_SECONDS as DEPLOYER_STOP_SECONDS
from bulkcert.processes.deployer import start_deployer
from bulkcert.processes.readiness import ServiceManager
from bulkcert.processes.supervisor import STOP_SECONDS, Supervisor
from bulkcert.processes.web import load_app

FINISH_SECONDS = 20
"""Seconds that requests in flight have when the service stops; then their connections are closed."""

_CONNECTIONS = 4096
"""Beyond them, connections wait until one is closed."""

_OPEN_FILES = 16384
"""Connections, spools and database files together."""

_HEAD_SECONDS = IDLE_SECONDS
"""For a TLS handshake, and again for the head of a request; the time between two requests counts to it."""

_HEAD_BYTES = 64 * 1024

_REPLACED_SECONDS = 1.0
"""After a web process was replaced: one that dies at once must not keep a processor busy."""


class Server(MPServer):
    """Replaces the web process however often it dies; granian gives up when it dies twice in 5.5 seconds."""

    service_manager = ServiceManager(None)

    def shutdown(self, exit_code: int = 0) -> None:
        """Tell the service manager, then stop: requests in flight take their time."""
        self.service_manager.tell_stopping()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def _respawn_workers(self, *arguments: Any, **rest: Any) -> None:  # noqa: ANN401 - granian's
        super()._respawn_workers(*arguments, **rest)
        self.respawned_wrks.clear()  # by which it would know
        time.sleep(_REPLACED_SECONDS)


def run(
    server: Server, supervisor: Supervisor, announce: Callable[[], None], *, behind_proxy: bool, has_mdm: bool
) -> None:
    """Serve until a signal. Workers outlive the web process: its last requests may wait for them."""
    # Spawned, not forked: the web process begins with nothing of this one, neither threads nor open files.
    multiprocessing.set_start_method("spawn", force=True)
    os.environ["PYTHONSAFEPATH"] = (
        "1"  # a spawned interpreter would look for modules in the current directory
    )
    # Without this limit glibc keeps large freed blocks: 20 MB after the first login.
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1024 * 1024))
    _allow_open_files()
    deployer = Supervisor(int(has_mdm), start_deployer)
    supervisor.start()
    deployer.start()
    threading.Thread(target=announce, name="announce", daemon=True).start()
    try:
        load = partial(load_app, os.getpid(), FINISH_SECONDS, behind_proxy=behind_proxy)
        server.serve(target_loader=load, wrap_loader=False)
    finally:
        deployer.stop(DEPLOYER_STOP_SECONDS)
        supervisor.stop(STOP_SECONDS)


def make_server(address: str, port: int, tls: dict[str, Any]) -> Server:
    """Create the server for an IP address of this machine; tls: granian's settings of TLS, or none."""
    return Server(
        "bulkcert",  # a name in the log
        address,
        port,
        interface=Interfaces.ASGINL,
        backlog=1024,
        backpressure=_CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEAD_SECONDS * 1000, max_buffer_size=_HEAD_BYTES),
        websockets=False,
        workers_kill_timeout=FINISH_SECONDS,
        respawn_failed_workers=True,
        log_level=LogLevels.error,
        log_dictconfig={"handlers": _LOG_LINES},
        **tls,
    )


_LOG_LINES = {name: {"class": "bulkcert.logs.LibraryLines"} for name in ("console", "access")}
"""The handlers by which granian logs."""


def free_address(host: str, port: int) -> str:
    """Return the IP address that a host name stands for, once it is sure that nobody listens there yet.

    The server lets others bind its port too (SO_REUSEPORT), so a second server would go unnoticed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(found[0]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[4])
    except OSError as reason:
        raise AddressNotUsable(f"{host}:{port} cannot be listened on: {reason_of(reason)}.") from None
    return str(found[4][0])


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
