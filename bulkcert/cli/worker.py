"""`bulkcert worker`: workers alone, on a further machine."""

import os
import signal
import time

import click
import structlog

from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.logs import configure_logging
from bulkcert.wiring import check_confinement, check_start
from bulkcert.worker import LOOK_SECONDS, Supervisor

log = structlog.get_logger()

STOP_SECONDS = 10.0
"""For a worker to finish its chunk; one that is ended earlier loses nothing but time."""


def processor_count() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warn_unless_confined(config: Config) -> None:
    """Log a warning where nothing confines opening processes; raises as `check_confinement` does."""
    if not (layers := check_confinement(config)).are_enough:
        log.warning("the process that opens PKCS#12 files is not confined by the kernel", layers=str(layers))


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
    supervisor = Supervisor(processes or processor_count())
    while not asked:
        supervisor.look()
        time.sleep(LOOK_SECONDS)
    supervisor.stop(STOP_SECONDS)
