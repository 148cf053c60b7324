"""Everything that the opening processes deny themselves, and a report of what this kernel enforces.

The template gives up the file system, the network, other processes and programs, and keeps the right to fork.
Its children give that up, too, and get limits on memory and processor time. The reason for each layer stands
in docs/decisions/0027.
"""

import ctypes
import math
import resource
import sys
from dataclasses import dataclass

from bulkcert.opening import landlock, memory, seccomp
from bulkcert.values.limits import Limits

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # prctl(2)
_SIGKILL = 9
_CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000


@dataclass(frozen=True)
class Layers:
    """The layers of confinement that are in force.

    landlock: the version of the kernel's interface, or 0. namespaces: no network devices, an IPC of its own.
    """

    landlock: int = 0
    seccomp: bool = False
    namespaces: bool = False

    def __str__(self) -> str:
        """Return the names of the layers, `none` where there is none."""
        named = {
            f"Landlock (version {self.landlock})": self.landlock > 0,
            "seccomp": self.seccomp,
            "namespaces": self.namespaces,
        }
        return ", ".join(name for name, is_there in named.items() if is_there) or "none"

    @property
    def are_enough(self) -> bool:
        """Whether code that runs in an opening process is confined: by system calls, or by files and TCP."""
        return self.seccomp or self.landlock > 0


def confine_template() -> Layers:
    """Give up files, network, programs and other processes; return the layers that this kernel enforces."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lower(resource.RLIMIT_FSIZE, 0)
    if sys.platform != "linux":
        return Layers()
    memory.hide()
    libc = ctypes.CDLL(None, use_errno=True)
    namespaces = _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    has_namespaces = libc.unshare(namespaces) == 0 or libc.unshare(namespaces | _CLONE_NEWUSER) == 0
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    memory.hide()  # a new user namespace makes a process readable again
    version = landlock.restrict()
    return Layers(version, seccomp.allow_template(), has_namespaces)


def confine_child(limits: Limits) -> None:
    """Give up forking as well, and memory beyond the limit; end when the template ends."""
    if sys.platform == "linux":  # elsewhere an address space is not counted the same way
        memory.lock()  # locks are not inherited
        lower(resource.RLIMIT_AS, limits.opening_memory_bytes)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        seccomp.allow_child()


def allow_seconds(seconds: int) -> None:
    """Allow this process so much more processor time; the kernel counts from its start, in whole seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(hard, soft), hard))


def lower(limit: int, value: int) -> None:
    """Lower a limit of this process (a RLIMIT_ number) for good."""
    _soft, hard = resource.getrlimit(limit)
    value = _at_most(hard, value)
    resource.setrlimit(limit, (value, value))


def _at_most(hard: int, value: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
