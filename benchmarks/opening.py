"""How long opening a PKCS#12 takes, beside what others take for it in the same run.

    python benchmarks/opening.py [--files 40] [--rounds 10] [--seconds 3] [--json benchmarks/opening.json]

Each file has a certificate of its own, and nothing is remembered from one contender to the next. The
contenders take turns, a warm JVM among them, and the median is told: a busy machine bears on all alike. A
turn is all files of a sort, as an import has many: in the first few of them, memory is still cold from the
work of others. What targets speak of goes through many rounds. One core is used, where the system lets a
process choose; threads and the last table use two.
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
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent))

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from benchmarks import peers
from benchmarks.opening_files import KINDS, PASSWORD, SCHEMES, File, make_files
from benchmarks.targets import Target, print_targets
from bulkcert.formats import x509
from bulkcert.formats.pkcs12 import kdf, rsa_signature
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.formats.pkcs12.proof import prove_by_signature
from bulkcert.opening.opener import Opener
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret

LIMITS = Limits()
SECRET = Secret(PASSWORD.encode())
COMMON = "RSA-2048", "OpenSSL 3"
JUDGED = {COMMON, ("EC P-256", "OpenSSL 3")}


@dataclass(frozen=True)
class Row:
    """Median milliseconds of one contender for one sort of file."""

    kind: str
    scheme: str
    contender: str
    milliseconds: float


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


@dataclass(frozen=True)
class Contender:
    """What is done with a file, and what is to be missing of libcrypto meanwhile."""

    open: Callable[[File], object]
    without: tuple[Callable[[], AbstractContextManager[object]], ...] = ()

    def take_turn(self, files: list[File]) -> list[float]:
        """Do it with each file; give the seconds of each."""
        times = []
        x509.forget()
        with contextlib.ExitStack() as stack:
            for missing in self.without:
                stack.enter_context(missing())
            for file in files:
                started = time.perf_counter()
                self.open(file)
                times.append(time.perf_counter() - started)
        return times


def open_with(limits: Limits) -> Callable[[File], object]:
    """Open as the service does, under these limits."""
    return lambda file: pkcs12.open(file.content, SECRET, limits)


def prove(file: File) -> None:
    """Load an RSA key that nobody used before, sign with it and verify: the proof by itself."""
    key = load_der_private_key(file.private_key, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    prove_by_signature(key)


LOOP = partial(mock.patch.object, kdf, "_NATIVE_DIGESTS", frozenset())
NO_PAIR = partial(mock.patch.object, rsa_signature, "_PAIR", None)
CONTENDERS = {
    "bulkcert": Contender(open_with(LIMITS)),
    "bulkcert, Python loop": Contender(open_with(LIMITS), (LOOP,)),
    "bulkcert, without libcrypto": Contender(open_with(LIMITS), (LOOP, NO_PAIR)),
    "load_pkcs12": Contender(peers.load_pkcs12),
    "bare derivations": Contender(File.derive),
    "bare derivations, Python loop": Contender(File.derive, (LOOP,)),
    "proof of an RSA key": Contender(prove),
    "bulkcert, 1 round of primality": Contender(open_with(replace(LIMITS, rsa_primality_rounds=1))),
    "bulkcert, 5 rounds of primality": Contender(open_with(replace(LIMITS, rsa_primality_rounds=5))),
}

FOR_RSA = {name for name in CONTENDERS if "RSA" in name or "primality" in name}


def measure(files: list[File], rounds: int, jvm: peers.Jvm | None) -> Iterator[Row]:
    """Let the contenders take turns over the files."""
    kind, scheme = files[0].kind, files[0].scheme
    entered = {name: each for name, each in CONTENDERS.items() if KINDS[kind] or name not in FOR_RSA}
    taken: dict[str, list[float]] = {name: [] for name in entered}
    alone = "JVM, 1 thread"
    if jvm:
        taken[alone] = []
    for _ in range(rounds):
        for name, contender in entered.items():
            taken[name] += contender.take_turn(files)
        if jvm:
            taken[alone] += jvm.take_turn()
    for name, times in taken.items():
        yield Row(kind, scheme, name, statistics.median(times) * 1000)


def measure_peers(files: list[File], directory: Path, seconds: float) -> Iterator[Row]:
    """Measure what does not take turns: it starts a process for each file, or uses all cores."""
    kind, scheme = files[0].kind, files[0].scheme
    if peers.Openssl.is_here():
        yield Row(kind, scheme, "openssl command", peers.Openssl(files, directory).median())
    if peers.Jvm.is_here():
        with peers.Jvm(files, directory, seconds) as jvm:
            yield Row(kind, scheme, "JVM, 2 threads", jvm.open_in_threads(2, seconds))


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
    return [Target(name, value, limit) for name, value, limit in measured if value]


def print_table(rows: list[Row]) -> None:
    """Print milliseconds: contenders down, schemes across."""
    print(f"{'milliseconds per file':34}" + "".join(f"{scheme:>16}" for scheme in SCHEMES))
    for kind in KINDS:
        print(kind)
        of_kind = [row for row in rows if row.kind == kind]
        for contender in dict.fromkeys(row.contender for row in of_kind):
            cells = {row.scheme: row.milliseconds for row in of_kind if row.contender == contender}
            print(f"  {contender:32}" + "".join(f"{cells[scheme]:16.2f}" for scheme in SCHEMES))


def print_rates(rates: dict[str, float]) -> None:
    """Print throughput."""
    print("\nfiles per second, RSA-2048 as OpenSSL 3 makes them")
    for name, rate in rates.items():
        print(f"  {name:32}{rate:16.0f}")


def measure_all(options: argparse.Namespace, directory: Path) -> tuple[list[Row], dict[str, float]]:
    """Measure every sort of file, and the throughput of the common one."""
    sorts = {(kind, scheme): make_files(kind, scheme, options.files) for kind in KINDS for scheme in SCHEMES}
    rows: list[Row] = []
    with one_core():
        for sort, files in sorts.items():
            rounds = options.rounds if sort in JUDGED else 1
            with contextlib.ExitStack() as stack:
                jvm = peers.Jvm(files, directory, 2 * options.seconds) if peers.Jvm.is_here() else None
                if jvm:
                    stack.enter_context(jvm)
                rows += measure(files, rounds, jvm)
    for files in sorts.values():
        rows += measure_peers(files, directory, options.seconds)
    files = sorts[COMMON]
    rates = {
        "one process": open_in(1, files, options.seconds),
        "confined process": open_confined(files, options.seconds),
    }
    if (os.cpu_count() or 1) > 1:
        rates["two processes"] = open_in(2, files, options.seconds)
    return rows, rates


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure everything, print it, and give it for the JSON file."""
    with tempfile.TemporaryDirectory() as directory:
        rows, rates = measure_all(options, Path(directory))
    targets = judge(rows, rates)
    print_table(rows)
    print_rates(rates)
    print_targets(targets, busy=False)
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "derivation_engine": kdf.engine(),
        "load_average": os.getloadavg()[0],
        "rows": [vars(row) | {"files_per_second": 1000 / row.milliseconds} for row in rows],
        "files_per_second": rates,
        "targets": [vars(target) | {"is_met": target.is_met} for target in targets],
    }


def main() -> None:
    """Read the command line, run, write the JSON file."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--files", type=int, default=40, help="files of each sort")
    parser.add_argument("--rounds", type=int, default=10, help="times that judged files are gone through")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each throughput")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("opening.json"))
    options = parser.parse_args()
    options.json.write_text(json.dumps(run(options), indent=1) + "\n")


if __name__ == "__main__":
    main()
