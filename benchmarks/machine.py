"""The machine that something is measured on, and what its processes use."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Machine:
    """What numbers must be read with. load_average: of the minute before the start; mebibytes: of memory."""

    processor: str
    cores: int
    mebibytes: int
    system: str
    python: str
    load_average: float

    @classmethod
    def here(cls) -> Self:
        """Look at this machine."""
        return cls(
            processor=_line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            mebibytes=int(_line("/proc/meminfo", "MemTotal").partition(" ")[0] or 0) // 1024,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            load_average=round(os.getloadavg()[0], 2),
        )

    @property
    def is_busy(self) -> bool:
        """Tell whether others use so much of it that rates say little."""
        return self.load_average > 0.25 * self.cores


def _line(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def processor_seconds(pids: Iterable[int]) -> float:
    """Add up what processes used, in user and kernel (proc(5), stat); those that ended count nothing."""
    return sum(_processor_seconds(pid, 11, 12) for pid in pids)


def ended_processor_seconds(pids: Iterable[int]) -> float:
    """Add up what children of processes used that have ended and were waited for."""
    return sum(_processor_seconds(pid, 13, 14) for pid in pids)


def _processor_seconds(pid: int, *which: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[each]) for each in which) / _TICKS


def resident_mebibytes(pid: int) -> float:
    """Tell how much memory a process has now (VmRSS)."""
    return _status(pid, "VmRSS")


def peak_mebibytes(pid: int) -> float:
    """Tell the most memory that a process had (VmHWM) since its start or `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak of a process's memory begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> float:
    return int(_line(f"/proc/{pid}/status", name).split()[0]) / 1024
