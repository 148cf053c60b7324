"""What the child process denies itself, by the kernel's hand (setrlimit(2), prctl(2))."""

import ctypes
import math
import resource
import sys

from bulkcert.limits import Limits

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def confine(limits: Limits) -> None:
    """Give up memory beyond the limit, files that grow, core dumps, and being looked into or promoted."""
    if sys.platform == "linux":  # elsewhere an address space is not counted the same way
        _lower(resource.RLIMIT_AS, limits.opening_memory_bytes)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        # RLIMIT_CORE does not stop a core dump that is piped into a program (core(5)); this does.
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def allow_seconds(seconds: int) -> None:
    """Allow this process so much more processor time; the kernel counts from its start, in whole seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(hard, soft), hard))


def _lower(limit: int, value: int) -> None:
    _soft, hard = resource.getrlimit(limit)
    value = _at_most(hard, value)
    resource.setrlimit(limit, (value, value))


def _at_most(hard: int, value: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
