"""The memory of processes that hold keys: hidden from other processes of the user, and kept out of swap."""

import contextlib
import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # mlockall(2)


def protect() -> bool:
    """Hide this process's memory from others and lock it into RAM; return whether it is locked.

    Hidden: no core dump, no ptrace, no /proc/PID/mem for processes without CAP_SYS_PTRACE. Locked: no page is
    written to swap. That needs an unlimited RLIMIT_MEMLOCK (`LimitMEMLOCK=infinity` in a systemd unit):
    under a limit, every later allocation beyond it would fail.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hide()
    return lock()


def hide() -> None:
    """Forbid other processes of the same user to read or trace this one (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock() -> bool:
    """Keep this process's memory out of swap where its limit allows; return whether it is locked."""
    if sys.platform != "linux" or not _may_lock_all():
        return False
    # On fault: pages are locked as they are used, so that nothing is allocated early.
    flags = _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT
    return bool(ctypes.CDLL(None).mlockall(flags) == 0)


def _may_lock_all() -> bool:
    with contextlib.suppress(OSError, ValueError):
        return resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    return False
