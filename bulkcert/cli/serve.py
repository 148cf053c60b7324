"""`bulkcert serve`: the HTTPS server and the workers of one machine."""

import contextlib
import ipaddress
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import structlog
from granian.constants import SSLProtocols

from bulkcert.cli.tls import check_tls_files
from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.logs import configure_logging
from bulkcert.processes.readiness import ServiceManager, answers
from bulkcert.processes.server import free_address, make_server, run
from bulkcert.processes.supervisor import Supervisor, processor_count, warn_unless_confined
from bulkcert.wiring.checks import check_start
from bulkcert.wiring.installation import check_spool

_PROBE_SECONDS = 0.05
"""Between two looks whether the port answers."""


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
    address = free_address(host, port)
    server = make_server(address, port, {} if no_tls else _tls(config))
    workers = processor_count() if workers is None else workers
    server.service_manager = ServiceManager.from_environment(os.environ)
    url = f"{'http' if no_tls else 'https'}://{host}:{port}"
    is_answering = partial(answers, address, port, is_tls=not no_tls)
    announce = partial(_announce, is_answering, server.service_manager, url, workers)
    run(server, Supervisor(workers), announce, behind_proxy=behind_proxy, has_mdm=has_mdm)


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


def _tls(config: Config) -> dict[str, Any]:
    """Return the TLS settings of the server; raises as `check_tls_files` does."""
    certificate, key = check_tls_files(config)
    return {"ssl_cert": certificate, "ssl_key": key, "ssl_protocol_min": SSLProtocols.tls12}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
