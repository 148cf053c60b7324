"""Processes of workers, and machines for them: threads of the test in namespaces of their own.

What a thread starts is born in the namespaces of that thread, and they end when the last process in them does:
nothing is left on the host, however the test ends. One computer with 2 processors stands for all machines.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from tests.live.namespaces import MORTAL, Namespace, is_permitted
from tests.live.service import children_of, command_of, is_running

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000  # sched.h
NETWORK = "192.0.2"  # RFC 5737
HOME = f"{NETWORK}.1"
"""The address of the database's machine."""


class Workers:
    """`bulkcert worker` with so many processes, which a test may stop, freeze and kill."""

    def __init__(self, environment: Mapping[str, str], processes: int, log_file: Path) -> None:
        command = [*MORTAL, sys.executable, "-m", "bulkcert", "worker", "--processes", str(processes)]
        self.log_file = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log)

    @property
    def pids(self) -> list[int]:
        """The processes of workers that are there now."""
        return [pid for pid in children_of(self._process.pid) if is_worker(pid)]

    def kill(self) -> None:
        """End everything of it at once: the supervisor first, which would replace the others."""
        found = [self._process.pid]
        for pid in found:
            found += children_of(pid)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)


def is_worker(pid: int) -> bool:
    return is_running(pid) and "bulkcert.processes.worker" in command_of(pid)


class Machine:
    """A machine of its own: its host name, and its mounts; `network`: also the network of that namespace."""

    def __init__(self, name: str, cleanup: contextlib.ExitStack, network: Namespace | None = None) -> None:
        self.name = name
        self._thread = cleanup.enter_context(ThreadPoolExecutor(1, f"machine {name}"))
        self.do(_leave_this_machine, name, network)

    def do(self, act: Callable[P, T], *arguments: P.args, **rest: P.kwargs) -> T:
        """Do something there, one thing at a time, and give what comes of it."""
        return self._thread.submit(act, *arguments, **rest).result()


def _leave_this_machine(name: str, network: Namespace | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if network is not None:
        with Path(f"/proc/{network.holder_pid}/ns/net").open("rb") as file:
            _check(libc.setns(file.fileno(), _CLONE_NEWNET))
    _check(libc.unshare(_CLONE_NEWNS | _CLONE_NEWUTS))
    _check(libc.sethostname(name.encode(), len(name)))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def needs_small_disks() -> None:
    """Skip the test where no file system can be mounted."""
    if not is_permitted("mount -t tmpfs -o size=1m none /mnt"):
        pytest.skip("needs permission to mount a file system")


class SmallDisk:
    """A file system of some megabytes on a machine, which a test fills and empties again."""

    def __init__(self, machine: Machine, directory: Path, megabytes: int, owner: int = 0) -> None:
        self._machine = machine
        self.directory = directory
        directory.mkdir(exist_ok=True)
        options = f"size={megabytes}m,mode=0700,uid={owner},gid={owner}"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(directory)]
        machine.do(subprocess.run, command, check=True)

    def remove(self) -> None:
        """Take it away, whoever still uses it."""
        self._machine.do(subprocess.run, ["umount", "--lazy", str(self.directory)], check=True)

    @property
    def _ballast(self) -> Path:
        return self.directory / "ballast"

    def fill(self, left: int = 0) -> None:
        """Leave so many bytes free."""
        self._machine.do(self._fill, left)

    def _fill(self, left: int) -> None:
        self._empty()
        with self._ballast.open("wb") as file:
            size = 0
            while (more := self._free_bytes() - left) > 0:
                with contextlib.suppress(OSError):  # others write, too
                    os.posix_fallocate(file.fileno(), size, more)
                    size += more

    def _free_bytes(self) -> int:
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize

    def empty(self) -> None:
        """Make room again."""
        self._machine.do(self._empty)

    def _empty(self) -> None:
        self._ballast.unlink(missing_ok=True)


def needs_networks() -> None:
    """Skip the test where machines cannot have networks of their own."""
    bridge = "ip link add name br0 type bridge && ip link add name veth8 type veth peer name veth9"
    if not is_permitted(f"{bridge} && mount --bind /dev/null /etc/hosts"):
        pytest.skip("needs network namespaces with bridges")


class Network:
    """A switch with the database's machine at it, and other machines, which can be cut off."""

    def __init__(self, directory: Path, cleanup: contextlib.ExitStack) -> None:
        self._hosts = directory / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n")
        self._cleanup = cleanup
        self._switch = Namespace(self._hosts, cleanup)
        self._switch.ip("link add name br0 type bridge")
        self._switch.ip(f"address add {HOME}/24 dev br0")
        self._switch.ip("link set br0 up")
        self.home = Machine("home", cleanup, self._switch)
        self._count = 1

    def join(self, name: str) -> Machine:
        """Make a machine, and connect it."""
        self._count += 1
        namespace = Namespace(self._hosts, self._cleanup)
        self._switch.ip(f"link add name to-{name} type veth peer name eth0 netns {namespace.holder_pid}")
        self._switch.ip(f"link set to-{name} master br0")
        namespace.ip(f"address add {NETWORK}.{self._count}/24 dev eth0")
        namespace.ip("link set eth0 up")
        self.mend(name)
        return Machine(name, self._cleanup, namespace)

    def cut(self, name: str) -> None:
        """Pull the cable of a machine."""
        self._switch.ip(f"link set to-{name} down")

    def mend(self, name: str) -> None:
        """Plug it in again."""
        self._switch.ip(f"link set to-{name} up")
