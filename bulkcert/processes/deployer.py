"""A process of the built-in deployer, which carries deployments to devices."""

import os
import subprocess
import sys

from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.logs import configure_logging, faults_logged
from bulkcert.processes.readiness import ServiceManager
from bulkcert.processes.stopping import Stopping, work_until
from bulkcert.processes.supervisor import Process
from bulkcert.wiring.deployer import make_deployer

STOP_SECONDS = 12.0
"""For the deployer to hear the MDM server's answer; one that is ended earlier loses nothing but time."""


def start_deployer() -> Process:
    """Start a deployer process that ends when this process does."""
    command = [sys.executable, "-P", "-m", "bulkcert.processes.deployer", str(os.getpid())]
    return subprocess.Popen(command, process_group=0)  # noqa: S603 - our own interpreter and module


def carry(parent: int | None) -> None:
    """Carry deployments until SIGTERM, or until the process `parent` is gone."""
    stopping = Stopping(parent)
    config = Config.from_environment(os.environ)
    configure_logging(config.log_level)
    os.environ.pop(ADMIN_PASSWORD, None)
    carrying = make_deployer(config)
    service_manager = ServiceManager.from_environment(os.environ)
    service_manager.tell_ready()
    try:
        work_until(stopping, carrying.carrier.carry_once, carrying.carrier.rest)
    finally:
        service_manager.tell_stopping()
        carrying.close()


if __name__ == "__main__":
    with faults_logged("deployer stops"):
        carry(int(sys.argv[1]))
