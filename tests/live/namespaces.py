"""Network namespaces for tests. They have no names: they end with their processes, and these with the test's."""

import contextlib
import os
import subprocess
from pathlib import Path

ENVIRONMENT = {"PATH": os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C"}
TOOLS = ("ip", "unshare", "nsenter", "setpriv")
# prctl(2): the kernel ends what this starts when the thread that started it ends.
MORTAL = ("setpriv", "--pdeathsig", "KILL")
SECONDS = 20
STOP_SECONDS = 5

# Names resolve by the given file alone: a missing resolv.conf would mean a name server on this host (resolv.conf(5)).
PREPARE = """
mount --bind "$1" /etc/hosts && { [ ! -e /etc/resolv.conf ] || mount --bind /dev/null /etc/resolv.conf; } &&
ip link set lo up && echo ready && exec sleep infinity
"""


class Namespace:
    """A network namespace with `lo` alone in it, where the names in the file `hosts` resolve and no others do.

    It and all that is started in it end with `cleanup`.
    """

    def __init__(self, hosts: Path, cleanup: contextlib.ExitStack) -> None:
        self._cleanup = cleanup
        unshare = [*MORTAL, "unshare", "--net", "--mount", "sh", "-c", PREPARE, "sh", str(hosts)]
        self.holder_pid = _start(unshare, cleanup, "ready", {}).pid

    def start(self, *command: str, ready: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """Start a process in it, and wait until that prints `ready`, if given."""
        return _start([*MORTAL, *self._inside, *command], self._cleanup, ready, environment)

    def run(self, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command in it to its end, for SECONDS at most."""
        whole = [*self._inside, *command]
        return subprocess.run(
            whole, env=ENVIRONMENT, input=stdin, capture_output=True, timeout=SECONDS, check=False
        )

    def ip(self, arguments: str) -> None:
        """Run `ip` in it; its refusal is a `RuntimeError`."""
        if (answer := self.run("ip", *arguments.split())).returncode:
            raise RuntimeError(f"ip {arguments}: {answer.stderr.decode(errors='replace')}")

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", f"--target={self.holder_pid}", "--net", "--mount", "--"]


def is_permitted(script: str) -> bool:
    """Whether this shell script, run in namespaces of its own, ends well."""
    command = ["unshare", "--net", "--mount", "sh", "-c", script]
    answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=SECONDS, check=False)
    return answer.returncode == 0


def _start(
    command: list[str], cleanup: contextlib.ExitStack, ready: str, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if ready else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cleanup.callback(_stop, process)
    if process.stdout:
        with process.stdout as output:
            if output.readline().decode().strip() != ready:
                raise RuntimeError(f"did not start: {' '.join(command)}")
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
