"""How fast imports, deletions and listings are, from request to last commit, with real processes.

    python benchmarks/importing.py [--quick] [--json benchmarks/importing.json] [--only speed accepting ...]
    python benchmarks/importing.py --markdown docs/performance.md [--json benchmarks/importing.json]

Services are started as they are shipped (HTTPS, sealing, synchronous=FULL, events), on SQLite and, where it
is installed, on a PostgreSQL of their own. Rates stand beside the rate of opening the same files and nothing
else, measured before and after each import: shares say more than rates. --markdown measures nothing: it
writes the tables of the last run (its JSON) into a page.
"""

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import report
from benchmarks.accepting import judge_acceptances, measure_acceptances
from benchmarks.bundles import Cache
from benchmarks.listing import judge_listing, measure_deletions, measure_latencies
from benchmarks.machine import Machine
from benchmarks.sites import Sites, warn
from benchmarks.speed import Sizes, judge_speeds, load_pkcs12_rate, measure_speeds
from benchmarks.targets import Target, print_targets

_SIZES = ("rsa", "ec", "rounds", "seconds", "accepted", "deleted", "rows", "questions")
PARTS = ("speed", "accepting", "deleting", "listing")


@dataclass
class Results:
    """What was measured, as the JSON file holds it."""

    measured: dict[str, Any] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def add(self, name: str, values: list[Any], targets: list[Target]) -> None:
        """Add what one part measured."""
        self.measured[name] = [asdict(value) for value in values]
        self.targets += targets


def run(options: argparse.Namespace) -> Results:
    """Measure the parts that were asked for."""
    results = Results()
    cache = Cache(options.cache)
    with tempfile.TemporaryDirectory(prefix="bulkcert-benchmark-", dir=options.directory) as name:
        directory = Path(name)
        sites = Sites(directory)
        if len(sites.databases) == 1:
            warn("PostgreSQL is not installed (initdb): SQLite alone is measured")
        try:
            if "speed" in options.only:
                _speed(results, sites, cache, directory, options)
            if "accepting" in options.only:
                _accepting(results, sites, cache, directory, options)
            deletions, latencies = [], []
            if "deleting" in options.only:
                deletions = measure_deletions(sites, options.deleted, options.rounds)
            if "listing" in options.only:
                latencies = measure_latencies(sites, options.rows, options.questions)
            results.add("deletions", deletions, judge_listing(deletions, []))
            results.add("latencies", latencies, judge_listing([], latencies))
        finally:
            sites.close()
    return results


def _speed(
    results: Results, sites: Sites, cache: Cache, directory: Path, options: argparse.Namespace
) -> None:
    sizes = Sizes(options.rsa, options.ec, options.rounds, options.seconds)
    loader = load_pkcs12_rate(cache, options.seconds)
    speeds = measure_speeds(sites, cache, directory, sizes)
    loader = statistics.mean([loader, load_pkcs12_rate(cache, options.seconds)])
    results.measured["load_pkcs12_files_per_second"] = loader
    results.add("speeds", speeds, judge_speeds(speeds, loader))


def _accepting(
    results: Results, sites: Sites, cache: Cache, directory: Path, options: argparse.Namespace
) -> None:
    found = measure_acceptances(sites, cache, directory, options.accepted, options.seconds)
    results.add("acceptances", found, judge_acceptances(found))


def _options() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--rsa", type=int, default=2000, help="certificates in the RSA-2048 bundle")
    parser.add_argument("--ec", type=int, default=5000, help="certificates in the EC P-256 bundle")
    parser.add_argument("--rounds", type=int, default=3, help="imports and deletions of each sort")
    parser.add_argument("--seconds", type=float, default=3.0, help="of bare opening, each time")
    parser.add_argument("--accepted", type=int, nargs="+", default=[10_000, 100_000], metavar="DEVICES")
    parser.add_argument("--deleted", type=int, default=10_000, help="devices in one deletion")
    parser.add_argument("--rows", type=int, default=1_000_000, help="certificates that are listed")
    parser.add_argument("--questions", type=int, default=400, help="of each sort, to the lists")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    temporary = Path(tempfile.gettempdir())
    parser.add_argument("--cache", type=Path, default=temporary / "bulkcert-benchmarks", help="for keys")
    parser.add_argument("--directory", type=Path, default=temporary, help="for databases, on a disk")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("importing.json"))
    parser.add_argument("--markdown", type=Path, help="a page to write the last run's tables into")
    options = parser.parse_args()
    if options.quick:
        options.rsa, options.ec, options.rounds, options.seconds = 200, 400, 1, 0.5
        options.accepted, options.deleted, options.rows, options.questions = [2000], 500, 5000, 40
    return options


def main() -> None:
    """Read the command line, run, write the JSON file."""
    options = _options()
    if options.markdown:
        report.write_into(options.markdown, json.loads(options.json.read_text()))
        return
    machine = Machine.here()
    print(f"{machine.processor}, {machine.cores} cores, load average {machine.load_average}", flush=True)
    if machine.is_busy:
        warn("the machine is busy: rates are too low, and shares uncertain")
    began = datetime.now(UTC)
    results = run(options)
    busy = machine.is_busy
    print_targets(results.targets, busy=busy)
    found = {
        "machine": asdict(machine) | {"is_busy": machine.is_busy},
        "began": began.isoformat(timespec="seconds"),
        "sizes": {name: getattr(options, name) for name in _SIZES},
        **results.measured,
        "targets": [
            asdict(target) | {"verdict": target.verdict(busy=busy), "shown": target.shown}
            for target in results.targets
        ],
    }
    options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
