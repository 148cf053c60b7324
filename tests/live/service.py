"""The service as it is shipped: `bulkcert init` and `bulkcert serve` as processes, over HTTPS with verification.

A test module gets the service that all of its tests share by importing the fixture:
`from tests.live.service.service import live_service  # noqa: F401`. A test that stops, kills or starves a service starts one of
its own with `LiveService`. Both want the markers in `LIVE`.
"""

import contextlib
import functools
import gc
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import requests

from tests.ports import take_port

PASSWORD = "correct horse battery staple"
START_SECONDS = 60
STOP_SECONDS = 40  # requests in flight, then chunks in flight, have their time to finish

LIVE = [
    pytest.mark.live,
    pytest.mark.xdist_group("live"),  # one after the other: they measure, and each has several processes
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc"),
]


class LiveService:
    """A running service in a data directory. `settings` are BULKCERT_* variables, `options` those of `serve`.

    log_file: stands beside the data directory, if not told otherwise.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
        log_file: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.password = PASSWORD
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("BULKCERT_")
        }
        self.environment |= {"BULKCERT_DATA_DIR": str(data_dir), **(settings or {})}
        self.scheme = "http" if "--no-tls" in options else "https"
        self.log_file = log_file or data_dir.with_name(data_dir.name + ".log")
        if not data_dir.exists():
            self.run("init", BULKCERT_ADMIN_PASSWORD=PASSWORD)
        self.port = take_port()
        self._process = self._start(options)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def run(self, *arguments: str, **environment: str) -> str:
        """Run another command of `bulkcert` in the same data directory, and give what it prints."""
        return subprocess.run(
            [sys.executable, "-m", "bulkcert", *arguments],
            env=self.environment | environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    def _start(self, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-m", "bulkcert", "serve", "--port", str(self.port), *options]
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def _wait_until_ready(self) -> None:
        def answers() -> bool:
            assert self._process.poll() is None, f"it ended:\n{self.log}"
            with contextlib.suppress(requests.ConnectionError):
                return self.client().get(f"{self.base_url}/health/ready", timeout=5).status_code == 200
            return False

        wait_until(answers, START_SECONDS)

    # --- for clients ---------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "tls" / "certificate.pem"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def client(self, token: str | None = None) -> requests.Session:
        """A `requests` session that trusts the service's certificate and nothing else."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.ca_file)
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        return session

    @functools.cached_property
    def token(self) -> str:
        with self.client() as client:
            answer = client.post(
                f"{self.base_url}/api/v1/sessions",
                json={"login": "administrator", "password": self.password},
                timeout=30,
            )
        answer.raise_for_status()
        return answer.json()["access_token"]

    def request(self, method: str, path: str, **rest: Any) -> requests.Response:
        """One request by the administrator, on a connection of its own."""
        rest.setdefault("timeout", 60)
        failure: requests.ConnectionError | None = None
        try:
            with self.client(self.token) as client:
                return client.request(method, self.base_url + path, **rest)
        except requests.ConnectionError as error:
            failure = error
        # Where the other end goes before the handshake, urllib3 leaves a socket open, which is no fault of a test.
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            again = type(failure)(str(failure))
            failure = None
            gc.collect()
        raise again

    def connect(self, timeout: float = 30) -> ssl.SSLSocket:
        """A TLS connection for bytes written by hand."""
        plain = socket.create_connection(("localhost", self.port), timeout=timeout)
        return self.tls_context.wrap_socket(plain, server_hostname="localhost")

    @functools.cached_property
    def tls_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    # --- its processes -------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def web_pid(self) -> int:
        """The process that answers requests."""
        [pid] = self._children("spawn_main")
        return pid

    @property
    def worker_pids(self) -> list[int]:
        return self._children("bulkcert.processes.worker")

    def _children(self, what: str) -> list[int]:
        return [pid for pid in children_of(self.pid) if what in command_of(pid)]

    def pids(self) -> list[int]:
        """All processes, the children of workers too, that are there now."""
        found = [self.pid]
        for pid in found:
            found += children_of(pid)
        return found

    def terminate(self) -> None:
        """Ask it to stop, and do not wait."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for its end and give its exit status."""
        return self._process.wait(seconds)

    def stop(self) -> int:
        """Stop it in order, and give its exit status."""
        if self._process.poll() is None:
            self.terminate()
        return self.wait()

    def is_there(self) -> bool:
        """Tell whether its first process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End every process of it at once."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
                raise


@pytest.fixture(scope="session")
def live_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """The service that the tests of a module share."""
    with LiveService(tmp_path_factory.mktemp("live") / "data") as service:
        yield service


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not so after {seconds} seconds"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """A process that ended and was not waited for (a zombie) does not run."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def forget_peak(pid: int) -> None:
    """Let the peak of a process's memory begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_megabytes(pid: int) -> float:
    """The most memory that a process had (VmHWM) since its start or `forget_peak`."""
    [line] = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) / 1024
