"""`bulkcert worker`: workers alone, on a further machine."""

import os
import signal
import time
from functools import partial

import click
import structlog

from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.logs import configure_logging
from bulkcert.processes.readiness import ServiceManager
from bulkcert.processes.supervisor import (
    LOOK_SECONDS,
    STOP_SECONDS,
    Supervisor,
    processor_count,
    start_worker,
    warn_unless_confined,
)
from bulkcert.wiring.checks import check_start

log = structlog.get_logger()


@click.command()
@click.option("--processes", type=click.IntRange(min=1), help="Default: one for each processor.")
def worker(processes: int | None) -> None:
    """Run worker processes on the database of the service, until SIGTERM."""
    config = Config.from_environment(os.environ)
    configure_logging(config.log_level)
    check_start(config)
    warn_unless_confined(config)
    os.environ.pop(ADMIN_PASSWORD, None)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: asked.append(number))
    service_manager = ServiceManager.from_environment(os.environ)
    wanted = processes or processor_count()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    supervisor = Supervisor(wanted, partial(start_worker, writing))
    joined = 0
    while not asked:
        supervisor.look()
        if joined < wanted and (joined := joined + _lines(reading)) >= wanted:
            service_manager.tell_ready()
            structlog.get_logger().info("working", processes=wanted)
        time.sleep(LOOK_SECONDS)
    service_manager.tell_stopping()
    supervisor.stop(STOP_SECONDS)


def _lines(descriptor: int) -> int:
    """Count the lines that can be read without waiting."""
    try:
        return len(os.read(descriptor, 4096))
    except BlockingIOError:
        return 0
