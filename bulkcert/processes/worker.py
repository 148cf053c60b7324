"""The processes that do the work of imports: the loop of one, and who keeps a number of them alive.

`python -m bulkcert.processes.worker` is one of them. It stops on SIGTERM when its chunk is done. A kill at
any moment loses nothing: the chunk goes back when its lease ends.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence

import structlog

from bulkcert.config import Config
from bulkcert.errors import StorageFull, Unavailable
from bulkcert.logs import configure_logging, faults_logged
from bulkcert.opening import memory
from bulkcert.processes.stopping import DATABASE_SECONDS, Stopping, work_until
from bulkcert.wiring.work import Work, make_work

log = structlog.get_logger()


def main(arguments: Sequence[str]) -> int:
    """Work until SIGTERM, or until the process that started this one is gone; give the exit status.

    `arguments`: the process id of the supervisor, or nothing where there is none; and a file descriptor that
    a line is written to when this worker has joined.
    """
    memory.protect()
    parent = int(arguments[0]) if arguments else None
    joined = int(arguments[1]) if len(arguments) > 1 else None
    stopping = Stopping(parent)
    config = Config.from_environment(os.environ)
    configure_logging(config.log_level)
    work = _make_work(config, stopping)
    if work is None:
        return 0
    if joined is not None:
        os.write(joined, b"\n")
        os.close(joined)
    try:
        work_until(stopping, work.work_once, work.rest)
    finally:
        work.close()
    return 0


def _make_work(config: Config, stopping: Callable[[], bool]) -> Work | None:
    """Make what there is to do, as soon as the database can be reached; None where it is to stop before."""
    while not stopping():
        try:
            return make_work(config)
        except (Unavailable, StorageFull) as refusal:
            log.warning("the database cannot be used for the moment", code=refusal.code)
            time.sleep(DATABASE_SECONDS)
    return None


if __name__ == "__main__":
    with faults_logged("worker stops"):
        sys.exit(main(sys.argv[1:]))
