"""`bulkcert serve`: the HTTPS server and the workers of one machine.

Three kinds of processes. This one listens to signals, and keeps the others alive. The web process (spawned by
granian) answers requests in threads. The workers do the work that imports leave in the database. Why this
server, and what it was measured to withstand: docs/decisions/0031-bodies-have-deadlines.md.
"""

import contextlib
import ipaddress
import multiprocessing
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from bulkcert.api.connections import IDLE_SECONDS
from bulkcert.cli.mdm import STOP_SECONDS as DEPLOYER_STOP_SECONDS
from bulkcert.cli.mdm import start_deployer
from bulkcert.cli.tls import check_tls_files
from bulkcert.cli.worker import STOP_SECONDS, processor_count, warn_unless_confined
from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.errors import AddressNotUsable, reason_of
from bulkcert.logs import configure_logging
from bulkcert.processes.readiness import ServiceManager, answers
from bulkcert.processes.web import load_app
from bulkcert.processes.worker import Supervisor
from bulkcert.wiring.installation import check_spool
from bulkcert.wiring.service import check_start

FINISH_SECONDS = 20
"""For requests in flight when the service stops; what is left of them then is cut."""

_CONNECTIONS = 4096
"""Beyond them, connections wait until one is closed."""

_OPEN_FILES = 16384
"""Connections, spools and database files together."""

_HEAD_SECONDS = IDLE_SECONDS
"""For a TLS handshake, and again for the head of a request; the time between two requests counts to it."""

_HEAD_BYTES = 64 * 1024

_REPLACED_SECONDS = 1.0
"""After a web process was replaced: one that dies at once must not keep a processor busy."""

_PROBE_SECONDS = 0.05
"""Between two looks whether the port answers."""


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


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4443, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", type=click.IntRange(min=0), help="Worker processes; default: one per processor.")
@click.option("--no-tls", is_flag=True, help="Plain HTTP, on a loopback address only.")
@click.option("--behind-proxy", is_flag=True, help="With --no-tls: any address; TLS ends at a proxy.")
def serve(host: str, port: int, workers: int | None, *, no_tls: bool, behind_proxy: bool) -> None:
    """Run the API over HTTPS, and the workers, until SIGTERM."""
    if behind_proxy and not no_tls:
        raise click.UsageError("--behind-proxy goes with --no-tls.")
    if no_tls and not behind_proxy and not _is_loopback(host):
        raise click.UsageError(
            "Without TLS only a loopback address is served, unless --behind-proxy is given."
        )
    config = Config.from_environment(os.environ)
    configure_logging(config.log_level)
    has_mdm = check_start(config)
    check_spool(config)
    warn_unless_confined(config)
    os.environ.pop(ADMIN_PASSWORD, None)
    address = _address(host, port)
    server = _make_server(address, port, {} if no_tls else _tls(config))
    workers = processor_count() if workers is None else workers
    server.service_manager = ServiceManager.from_environment(os.environ)
    url = f"{'http' if no_tls else 'https'}://{host}:{port}"
    is_answering = partial(answers, address, port, is_tls=not no_tls)
    announce = partial(_announce, is_answering, server.service_manager, url, workers)
    _run(server, Supervisor(workers), announce, behind_proxy=behind_proxy, has_mdm=has_mdm)


def _announce(
    is_answering: Callable[[], bool], service_manager: ServiceManager, url: str, workers: int
) -> None:
    """Say that the service is ready, to people, log and service manager, as soon as its port answers."""
    while not is_answering():
        time.sleep(_PROBE_SECONDS)
    service_manager.tell_ready()
    structlog.get_logger().info("serving", url=url, workers=workers)
    with contextlib.suppress(OSError):  # nobody may be reading
        click.echo(f"serving {url} with {workers} {'worker' if workers == 1 else 'workers'}")


def _run(
    server: Server, supervisor: Supervisor, announce: Callable[[], None], *, behind_proxy: bool, has_mdm: bool
) -> None:
    """Serve until a signal. Workers outlive the web process: its last requests may wait for them."""
    # Spawned, not forked: the web process begins with nothing of this one, neither threads nor open files.
    multiprocessing.set_start_method("spawn", force=True)
    os.environ["PYTHONSAFEPATH"] = (
        "1"  # a spawned interpreter would look for modules in the current directory
    )
    # glibc keeps large blocks once they were freed, unless it is told a limit: 20 MB after the first login.
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


def _make_server(address: str, port: int, tls: dict[str, Any]) -> Server:
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


def _tls(config: Config) -> dict[str, Any]:
    """Return the TLS settings of the server; raises as `check_tls_files` does."""
    certificate, key = check_tls_files(config)
    return {"ssl_cert": certificate, "ssl_key": key, "ssl_protocol_min": SSLProtocols.tls12}


def _address(host: str, port: int) -> str:
    """Give the IP address that a host name stands for, once it is sure that nobody listens there yet.

    The server shares its port with whoever asks for that (SO_REUSEPORT), so a second one would go unnoticed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(found[0]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[4])
    except OSError as reason:
        raise AddressNotUsable(f"{host}:{port} cannot be listened on: {reason_of(reason)}.") from None
    return str(found[4][0])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
