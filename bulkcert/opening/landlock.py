"""Landlock: this process and its children reach no file, no TCP port and no process outside (landlock(7))."""

import ctypes
import sys

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same numbers on every architecture
_VERSION = 1  # a flag of landlock_create_ruleset: return the version and create nothing
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""Number of file system rights that a version knows, where it differs from the version before."""
_NET_RIGHTS = 0b11  # bind and connect TCP, since version 4
_SCOPES = 0b11  # abstract Unix sockets and signals, since version 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def restrict() -> int:
    """Deny everything that Landlock can deny; return the version of its interface, 0 where there is none.

    Needs PR_SET_NO_NEW_PRIVS. Files that are open stay open.
    """
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return 0
    ruleset = _ruleset(version)
    size = ctypes.c_size_t(_size(version))
    descriptor = libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if descriptor < 0:
        return 0
    restricted = libc.syscall(_RESTRICT_SELF, descriptor, 0) == 0
    libc.close(descriptor)
    return version if restricted else 0


def _ruleset(version: int) -> _Ruleset:
    rights = max(count for since, count in _FS_RIGHTS.items() if since <= version)
    return _Ruleset(
        fs=2**rights - 1, net=_NET_RIGHTS if version >= 4 else 0, scoped=_SCOPES if version >= 6 else 0
    )


def _size(version: int) -> int:
    """Return the size of the structure that this version knows; an older kernel refuses a longer one."""
    if version >= 6:
        return 24
    return 16 if version >= 4 else 8
