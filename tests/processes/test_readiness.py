"""The service manager is told when the service is ready and when it stops, and nobody is told before."""

import contextlib
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulkcert.processes.readiness import ServiceManager, answers
from tests.live.service import LIVE
from tests.ports import take_port

PASSWORD = "correct horse battery"


@contextlib.contextmanager
def a_manager(name: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1))
        listening.settimeout(60)
        yield listening


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_states_are_sent_as_datagrams(tmp_path: Path, kind: str) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"@bulkcert-test-{os.getpid()}"
    environment = {"NOTIFY_SOCKET": name, "PATH": "/bin"}
    with a_manager(name) as manager:
        told = ServiceManager.from_environment(environment)
        told.tell_ready()
        told.tell_stopping()

        assert [manager.recv(100) for _ in range(2)] == [b"READY=1", b"STOPPING=1"]
    assert environment == {"PATH": "/bin"}  # for no other process to use it


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nobody/listens"}])
def test_where_nobody_listens_nothing_goes_wrong(environment: dict[str, str]) -> None:
    ServiceManager.from_environment(environment).tell_ready()


@pytest.mark.slow
def test_a_port_that_is_open_does_not_answer_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkcert.processes.readiness._ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as open_port:  # connections wait in its backlog
        assert not answers("127.0.0.1", open_port.getsockname()[1], is_tls=True)
        assert not answers("0.0.0.0", open_port.getsockname()[1], is_tls=False)


class Site:
    """A data directory, and a service manager for commands on it."""

    def __init__(self, directory: Path, manager: socket.socket) -> None:
        self.manager = manager
        self.environment = {
            "PATH": os.environ["PATH"],
            "BULKCERT_DATA_DIR": str(directory / "data"),
            "NOTIFY_SOCKET": str(directory / "notify"),
        }
        self.run("init", BULKCERT_ADMIN_PASSWORD=PASSWORD)

    def run(self, *arguments: str, typed: str = "", **environment: str) -> None:
        command = [sys.executable, "-m", "bulkcert", *arguments]
        subprocess.run(command, env=self.environment | environment, check=True, input=typed, text=True)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "bulkcert", *arguments]
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def told(self) -> bytes:
        return self.manager.recv(100)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with a_manager(str(tmp_path / "notify")) as manager:
        yield Site(tmp_path, manager)


def ask(port: int) -> int:
    """One try, without patience: the status, or what a user's next command would show."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    with contextlib.closing(connection):
        connection.request("GET", "/health/ready")
        return connection.getresponse().status


def live(test: Callable[..., None]) -> Callable[..., None]:
    for mark in LIVE:
        test = mark(test)
    return test


@live
def test_serve_says_serving_when_its_port_answers(site: Site) -> None:
    port = take_port()
    with site.running("serve", "--port", str(port), "--workers", "1") as process:
        assert site.told() == b"READY=1"
        assert ask(port) == 200
        assert re.fullmatch(rf"serving https://127.0.0.1:{port} with 1 worker\n", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert site.told() == b"STOPPING=1"
        process.wait(60)
    site.manager.setblocking(False)
    with pytest.raises(BlockingIOError):  # no other process spoke
        site.told()


@live
def test_workers_are_ready_when_all_have_joined(site: Site) -> None:
    with site.running("worker", "--processes", "2") as process:
        assert site.told() == b"READY=1"
        listing = [sys.executable, "-c", COUNT_WORKERS]
        counted = subprocess.run(listing, env=site.environment, check=True, capture_output=True, text=True)
        assert counted.stdout == "2\n"
        process.send_signal(signal.SIGTERM)
        assert site.told() == b"STOPPING=1"


COUNT_WORKERS = """
import os
from bulkcert.config import Config
from bulkcert.wiring.service import connect
service = connect(Config.from_environment(os.environ))
print(len(service.workers.list(10)))
"""


@live
def test_the_deployer_is_ready_when_it_can_carry(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        site.run("mdm", "set", "--url", url, typed="the api key\nthe webhook key\n")
        with site.running("deployer") as process:
            assert site.told() == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert site.told() == b"STOPPING=1"
