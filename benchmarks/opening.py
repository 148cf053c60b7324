"""How long opening a PKCS#12 takes, beside what others take for it in the same run.

    python benchmarks/opening.py [--files 40] [--seconds 3] [--json benchmarks/opening.json]

Each file has a certificate of its own, and nothing is remembered from one contender to the next. The
contenders take turns with a handful of files each, and the median is told: a busy machine bears on all
alike. One core is used, where the system lets a process choose; the last table uses two.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import peers
from benchmarks.opening_files import KINDS, PASSWORD, SCHEMES, File, make_files
from bulkcert.formats import pkcs12, x509
from bulkcert.formats.pkcs12 import kdf
from bulkcert.limits import Limits
from bulkcert.opening import Opener
from bulkcert.secret import Secret

LIMITS = Limits()
SECRET = Secret(PASSWORD.encode())
TURN = 10  # files that one contender opens before the next has its turn
COMMON = "RSA-2048", "OpenSSL 3"
Contender = Callable[[File], object]


@dataclass(frozen=True)
class Row:
    """Median milliseconds of one contender for one sort of file."""

    kind: str
    scheme: str
    contender: str
    milliseconds: float


@dataclass(frozen=True)
class Target:
    """Something that was promised, what was measured, and whether that keeps it."""

    name: str
    value: float
    limit: str
    is_met: bool


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep to one core; do nothing where the system does not offer that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def without_libcrypto(contender: Contender) -> Contender:
    """Derive in Python, as where libcrypto cannot be reached."""

    def contend(file: File) -> None:
        with mock.patch.object(kdf, "_NATIVE_DIGESTS", frozenset()):
            contender(file)

    return contend


def open_with(limits: Limits) -> Contender:
    """Open as the service does, under these limits."""
    return lambda file: pkcs12.open(file.content, SECRET, limits)


CONTENDERS: dict[str, Contender] = {
    "bulkcert": open_with(LIMITS),
    "bulkcert, Python loop": without_libcrypto(open_with(LIMITS)),
    "load_pkcs12": peers.load_pkcs12,
    "bare derivations": File.derive,
    "bare derivations, Python loop": without_libcrypto(File.derive),
    "bulkcert, 1 round of primality": open_with(replace(LIMITS, rsa_primality_rounds=1)),
    "bulkcert, 5 rounds of primality": open_with(replace(LIMITS, rsa_primality_rounds=5)),
}


def measure(files: list[File]) -> Iterator[Row]:
    """Let the contenders take turns over the files."""
    kind, scheme = files[0].kind, files[0].scheme
    entered = {name: each for name, each in CONTENDERS.items() if "primality" not in name or KINDS[kind]}
    taken: dict[str, list[float]] = {name: [] for name in entered}
    for first in range(0, len(files), TURN):
        for name, contender in entered.items():
            x509.forget()
            for file in files[first : first + TURN]:
                started = time.perf_counter()
                contender(file)
                taken[name].append(time.perf_counter() - started)
    for name, times in taken.items():
        yield Row(kind, scheme, name, statistics.median(times) * 1000)


def open_for(files: list[File], seconds: float) -> float:
    """Open for some seconds in this process; give files per second."""
    opened, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        x509.forget()
        for file in files:
            pkcs12.open(file.content, SECRET, LIMITS)
        opened += len(files)
    return opened / elapsed


def open_in(processes: int, files: list[File], seconds: float) -> float:
    """Open in so many processes at the same time; give files per second of all together."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(open_for, [files] * processes, [0.1] * processes))
        return sum(pool.map(open_for, [files] * processes, [seconds] * processes))


def open_confined(files: list[File], seconds: float) -> float:
    """Open through the limited process and its pipes, as the service does; give files per second."""
    batch = [(file.content, SECRET) for file in files]
    opener = Opener(LIMITS)
    list(opener.open_all(batch))
    opened, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        opened += sum(1 for _ in opener.open_all(batch))
    opener.close()
    return opened / elapsed


def judge(rows: list[Row], rates: dict[str, float]) -> list[Target]:
    """Hold what was measured against what was promised."""
    of = {(row.kind, row.scheme, row.contender): row.milliseconds for row in rows}

    def ratio(kind: str, over: str, under: str) -> float | None:
        times = of.get((kind, "OpenSSL 3", over)), of.get((kind, "OpenSSL 3", under))
        return times[0] / times[1] if times[0] and times[1] else None

    bare, loop, rsa = "bare derivations", "bulkcert, Python loop", "RSA-2048"
    two = rates["two processes"] / rates["one process"] if "two processes" in rates else None
    measured = [
        ("RSA-2048: times faster than load_pkcs12", ratio(rsa, "load_pkcs12", "bulkcert"), ">= 18"),
        ("RSA-2048: times the bare derivations", ratio(rsa, "bulkcert", bare), "<= 2.5"),
        ("RSA-2048: Python loop, times libcrypto", ratio(rsa, loop, "bulkcert"), "<= 1.4"),
        ("RSA-2048: times a warm JVM", ratio(rsa, "bulkcert", "JVM, 1 thread"), "<= 1.0"),
        ("EC P-256: times load_pkcs12", ratio("EC P-256", "bulkcert", "load_pkcs12"), "<= 1.25"),
        ("two processes: times one", two, ">= 1.85"),
    ]
    return [Target(name, value, limit, holds(value, limit)) for name, value, limit in measured if value]


def holds(value: float, limit: str) -> bool:
    """Tell whether a value keeps a limit such as "<= 2.5"."""
    sign, bound = limit.split()
    return value >= float(bound) if sign == ">=" else value <= float(bound)


def print_table(rows: list[Row]) -> None:
    """Print milliseconds: contenders down, schemes across."""
    print(f"{'milliseconds per file':34}" + "".join(f"{scheme:>16}" for scheme in SCHEMES))
    for kind in KINDS:
        print(kind)
        of_kind = [row for row in rows if row.kind == kind]
        for contender in dict.fromkeys(row.contender for row in of_kind):
            cells = {row.scheme: row.milliseconds for row in of_kind if row.contender == contender}
            print(f"  {contender:32}" + "".join(f"{cells[scheme]:16.2f}" for scheme in SCHEMES))


def print_verdict(rates: dict[str, float], targets: list[Target]) -> None:
    """Print throughput and targets."""
    print("\nfiles per second, RSA-2048 as OpenSSL 3 makes them")
    for name, rate in rates.items():
        print(f"  {name:32}{rate:16.0f}")
    print("\ntargets")
    for target in targets:
        verdict = "met" if target.is_met else "MISSED"
        print(f"  {target.name:42}{target.value:8.2f}  {target.limit:8} {verdict}")


def run(count: int, seconds: float) -> dict[str, object]:
    """Measure everything, print it, and give it for the JSON file."""
    sorts = {(kind, scheme): make_files(kind, scheme, count) for kind in KINDS for scheme in SCHEMES}
    rows: list[Row] = []
    with one_core():
        for files in sorts.values():
            rows += measure(files)
    with tempfile.TemporaryDirectory() as directory:
        for (kind, scheme), files in sorts.items():
            for name, milliseconds in peers.others(files, Path(directory), seconds):
                rows.append(Row(kind, scheme, name, milliseconds))
    files = sorts[COMMON]
    rates = {"one process": open_in(1, files, seconds), "confined process": open_confined(files, seconds)}
    if (os.cpu_count() or 1) > 1:
        rates["two processes"] = open_in(2, files, seconds)
    targets = judge(rows, rates)
    print_table(rows)
    print_verdict(rates, targets)
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "derivation_engine": kdf.engine(),
        "load_average": os.getloadavg()[0],
        "rows": [vars(row) | {"files_per_second": 1000 / row.milliseconds} for row in rows],
        "files_per_second": rates,
        "targets": [vars(target) for target in targets],
    }


def main() -> None:
    """Read the command line, run, write the JSON file."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--files", type=int, default=40, help="files of each sort")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each throughput")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("opening.json"))
    options = parser.parse_args()
    options.json.write_text(json.dumps(run(options.files, options.seconds), indent=1) + "\n")


if __name__ == "__main__":
    main()
