"""seccomp: the system calls that opening processes may make; every other one fails with EPERM (seccomp(2)).

Two lists: the template may also fork, wait and receive descriptors; its children may not, nor may they do
anything but compute, allocate, and use the pipes that they hold.
"""

import ctypes
import errno
import platform
import struct
import sys
from dataclasses import dataclass

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2  # prctl(2)
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_NO_SUCH_CALL = 0x00050000 | errno.ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_X32_CALLS = 0x40000000
_PROT_EXEC = 4
_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag of clone(2)
_CLONE_VM = 0x100  # threads and vfork, which the template has no use for

_NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
        "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "readv": 19, "writev": 20,
        "select": 23, "sched_yield": 24, "mremap": 25, "madvise": 28, "getpid": 39, "sendto": 44,
        "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "clone": 56, "exit": 60, "wait4": 61, "fcntl": 72,
        "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "times": 100, "getppid": 110,
        "sigaltstack": 131, "prctl": 157, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219,
        "clock_gettime": 228, "clock_nanosleep": 230, "exit_group": 231, "pselect6": 270, "ppoll": 271,
        "set_robust_list": 273, "prlimit64": 302, "getrandom": 318, "rseq": 334, "clone3": 435,
        "close_range": 436,
    },
    "aarch64": {
        "fcntl": 25, "close": 57, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66,
        "pselect6": 72, "ppoll": 73, "exit": 93, "exit_group": 94, "futex": 98, "set_robust_list": 99,
        "clock_gettime": 113, "clock_nanosleep": 115, "sched_yield": 124, "restart_syscall": 128,
        "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153,
        "getrlimit": 163, "getrusage": 165, "prctl": 167, "gettimeofday": 169, "getpid": 172,
        "getppid": 173, "gettid": 178, "sendto": 206, "recvfrom": 207, "sendmsg": 211, "recvmsg": 212,
        "brk": 214,
        "munmap": 215, "mremap": 216, "clone": 220, "mmap": 222, "mprotect": 226, "madvise": 233,
        "wait4": 260, "prlimit64": 261, "getrandom": 278, "rseq": 293, "clone3": 435, "close_range": 436,
    },
}  # fmt: skip
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h

_TEMPLATE_ALONE = frozenset(
    {"sendmsg", "recvmsg", "recvfrom", "sendto", "clone", "wait4", "prctl", "clone3", "close_range"}
)


@dataclass(frozen=True)
class _Check:
    """A call that is allowed by one of its arguments. is_refused_by: the bits of it that must not be set."""

    argument: int
    is_refused_by: int


_CHECKS = {
    "mmap": _Check(2, _PROT_EXEC),
    "mprotect": _Check(2, _PROT_EXEC),
    "prlimit64": _Check(0, 0xFFFFFFFF),  # a process id: 0 is this process
    "clone": _Check(0, _NEW_NAMESPACES | _CLONE_VM),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def allow_template() -> bool:
    """Allow from now on what the template does; return whether this kernel and machine can."""
    return _install(is_template=True)


def allow_child() -> bool:
    """Allow from now on what a child does; return whether this kernel and machine can."""
    return _install(is_template=False)


def _install(*, is_template: bool) -> bool:
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _NUMBERS or struct.calcsize("P") != 8:
        return False
    code = _program(machine, is_template=is_template)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _program(machine: str, *, is_template: bool) -> bytes:
    """Return the filter: eight bytes for each instruction (struct sock_filter)."""
    code = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
        _instruction(_AT_LEAST, _X32_CALLS, 0, 1),
        _instruction(_RETURN, _REFUSE),
    ]
    for name, number in _NUMBERS[machine].items():
        if is_template or name not in _TEMPLATE_ALONE:
            code += _allowing(name, number)
    return b"".join([*code, _instruction(_RETURN, _REFUSE)])


def _allowing(name: str, number: int) -> list[bytes]:
    if name == "clone3":  # its flags lie in memory, where no filter sees them; the C library then uses clone
        return [_instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, _NO_SUCH_CALL)]
    if (check := _CHECKS.get(name)) is None:
        return [_instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, _ALLOW)]
    return [
        _instruction(_EQUAL, number, 0, 4),
        _instruction(_LOAD, _ARGUMENTS_AT + 8 * check.argument),  # its lower half
        _instruction(_ANY_BIT, check.is_refused_by, 0, 1),
        _instruction(_RETURN, _REFUSE),
        _instruction(_RETURN, _ALLOW),
    ]


def _instruction(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, constant)
