"""How fast imports go, from first byte to last commit, beside opening the same files and nothing else."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import pkcs12 as library

from benchmarks.bundles import EC, PASSWORD, RSA, Cache, write_bundle
from benchmarks.sites import SQLITE, Site, Sites
from benchmarks.targets import Target
from bulkcert.formats import x509
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret

_WARM_UP = 200
"""Devices of an import before the one that counts: every worker has its opening process then."""


@dataclass(frozen=True)
class Speed:
    """One configuration, measured some times.

    rate, bare: files per second, the median; share: of the bare rate of as many processes, measured before
    and after; accepting: the part of the time before a worker had the first of it; milliseconds: of processor
    time for each file, by kind of process, and of opening it and nothing else; bound: the share that this
    processor time allows, were all cores busy with nothing else.
    """

    kind: str
    database: str
    workers: int
    one_core: bool
    rate: float
    bare: float
    share: float
    accepting: float
    milliseconds: dict[str, float]
    bound: float


@dataclass(frozen=True)
class Sizes:
    """How much is imported, how often, and how long bare opening is measured each time."""

    rsa: int
    ec: int
    rounds: int
    seconds: float

    def of(self, kind: str) -> int:
        """Tell the size of a bundle of this kind."""
        return self.rsa if kind == RSA else self.ec


def open_for(files: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """Open files for some seconds in this process; give files per second, and processor seconds for each."""
    limits, password = Limits(), Secret(PASSWORD.encode())
    opened, started, used = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - started) < seconds:
        x509.forget()
        for file in files:
            pkcs12.open(file, password, limits)
        opened += len(files)
    return opened / elapsed, (time.process_time() - used) / opened


class Bare:
    """Processes that open files and do nothing else."""

    def __init__(self, processes: int, files: Sequence[bytes], seconds: float) -> None:
        self._pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
        self._processes = processes
        self._files = files[:200]
        self._seconds = seconds
        self._measure(0.1)

    def rate(self) -> tuple[float, float]:
        """Give files per second of all processes together, and milliseconds of processor time for a file."""
        found = self._measure(self._seconds)
        return sum(rate for rate, _ in found), statistics.mean(used for _, used in found) * 1000

    def _measure(self, seconds: float) -> list[tuple[float, float]]:
        number = self._processes
        return list(self._pool.map(open_for, [self._files] * number, [seconds] * number))

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


def measure_speeds(sites: Sites, cache: Cache, directory: Path, sizes: Sizes) -> list[Speed]:
    """Measure every kind of certificate, on every database, with one worker process and with two."""
    speeds = []
    for kind in (RSA, EC):
        files = cache.files(kind, sizes.of(kind) + _WARM_UP)
        bundles = _write_bundles(directory, kind, files, sizes.of(kind))
        for workers in (1, 2):
            bare = Bare(workers, files, sizes.seconds)
            for database in sites.databases:
                speeds.append(_measure(sites, bundles, sizes, bare, (kind, database, workers, None)))
                _print(speeds[-1])
            bare.close()
        if kind == RSA:
            bare = Bare(1, files, sizes.seconds)
            speeds.append(_measure(sites, bundles, sizes, bare, (kind, SQLITE, 1, 0)))
            _print(speeds[-1])
            bare.close()
    return speeds


def load_pkcs12_rate(cache: Cache, seconds: float) -> float:
    """Give the files per second of a loop over the library's loader, which keeps nothing."""
    files = cache.files(RSA, 50)
    opened, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        library.load_pkcs12(files[opened % len(files)], PASSWORD.encode())
        opened += 1
    return opened / elapsed


def _write_bundles(directory: Path, kind: str, files: Sequence[bytes], size: int) -> tuple[Path, Path]:
    """Write the bundle that counts, and the one before it."""
    name = kind.replace(" ", "-")
    return (
        write_bundle(directory / f"{name}.zip", kind, files[:size]),
        write_bundle(directory / f"{name}-warm-up.zip", kind, files[size:], first=size),
    )


def _measure(
    sites: Sites,
    bundles: tuple[Path, Path],
    sizes: Sizes,
    bare: Bare,
    which: tuple[str, str, int, int | None],
) -> Speed:
    kind, database, workers, core = which
    size = sizes.of(kind)
    rates, bares, shares, accepted = [], [], [], []
    used: dict[str, list[float]] = {}
    for _ in range(sizes.rounds):
        before = bare.rate()
        with sites.running(database, workers, core) as site:
            site.import_bundle(bundles[1], _WARM_UP)
            waited, seconds, by_kind = _import(site, bundles[0], size)
        after = bare.rate()
        accepted.append(waited / seconds)
        rates.append(size / seconds)
        bares.append((before[0] + after[0]) / 2)
        shares.append(rates[-1] / bares[-1])
        for name, spent in ({"bare opening": (before[1] + after[1]) / 2} | by_kind).items():
            used.setdefault(name, []).append(spent)
    milliseconds = {name: statistics.median(spent) for name, spent in used.items()}
    return Speed(
        kind,
        database,
        workers,
        core is not None,
        rate=statistics.median(rates),
        bare=statistics.median(bares),
        share=statistics.median(shares),
        accepting=statistics.median(accepted),
        milliseconds=milliseconds,
        bound=_bound(milliseconds, workers, 1 if core is not None else len(os.sched_getaffinity(0))),
    )


def _bound(milliseconds: dict[str, float], workers: int, cores: int) -> float:
    """Tell the share that is possible: one process opens for each worker, and all together have the cores."""
    bare = milliseconds["bare opening"]
    everything = sum(milliseconds.values()) - bare
    opening = milliseconds["opening processes"]  # zero where too little is measured for the kernel's clock
    spent = [(opening, 1.0), (workers * everything, float(cores))]
    return min([1.0, *(processes * bare / used for used, processes in spent if used > 0)])


def _import(site: Site, bundle: Path, size: int) -> tuple[float, float, dict[str, float]]:
    before = site.used()
    waited, seconds = site.import_bundle(bundle, size)
    after = site.used()
    return waited, seconds, {name: (after[name] - before[name]) / size * 1000 for name in after}


def judge_speeds(speeds: Sequence[Speed], loader_rate: float) -> list[Target]:
    """Hold speeds against what was promised."""
    free = {(s.kind, s.database, s.workers): s for s in speeds if not s.one_core}
    targets = []
    for (kind, database, workers), speed in free.items():
        processes = f"{workers} worker process{'es' * (workers > 1)}"
        name = f"{kind}, {database}, {processes}: share of bare opening"
        targets.append(Target(name, speed.share, ">= 0.8"))
    for (kind, database, workers), speed in free.items():
        if workers == 2:
            times = speed.rate / free[kind, database, 1].rate
            targets.append(Target(f"{kind}, {database}: 2 worker processes, times 1", times, ">= 1.85"))
    for speed in speeds:
        if speed.kind == RSA and speed.workers == 1:
            where = "all on one core" if speed.one_core else "1 worker process"
            name = f"{RSA}, {speed.database}, {where}: times a load_pkcs12 loop"
            targets.append(Target(name, speed.rate / loader_rate, ">= 12"))
    return targets


def _print(speed: Speed) -> None:
    where = f"{speed.workers} workers" if not speed.one_core else "one core"
    used = "  ".join(f"{name} {spent:.2f}" for name, spent in speed.milliseconds.items())
    print(
        f"{speed.kind:9} {speed.database:11}{where:10}{speed.rate:7.0f}/s, bare {speed.bare:7.0f}/s,"
        f" share {speed.share:.2f} (bound {speed.bound:.2f})   ms: {used}",
        flush=True,
    )
