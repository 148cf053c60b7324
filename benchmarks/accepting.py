"""Accepting bundles: how long until 202, and how much memory the web process takes for it. No worker runs."""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bundles import EC, RSA, Cache, write_bundle
from benchmarks.machine import forget_peak, peak_mebibytes, resident_mebibytes
from benchmarks.sites import Sites
from benchmarks.speed import Bare
from benchmarks.targets import Target

_DIFFERENT = 200
"""Files that stand in these bundles again and again: nothing opens them."""

_SMALL = 1000


@dataclass(frozen=True)
class Acceptance:
    """A bundle that was accepted. seconds: from the first byte to 202; growth: of the web process, in MiB.

    bare: files per second that one process opened just before and after.
    """

    kind: str
    database: str
    devices: int
    mebibytes: float
    seconds: float
    growth: float
    bare: float


def measure_acceptances(
    sites: Sites, cache: Cache, directory: Path, sizes: list[int], seconds: float
) -> list[Acceptance]:
    """Accept bundles of these sizes, each by a web process that has accepted a small one before."""
    found = []
    for kind in (RSA, EC):
        files = cache.files(kind, _DIFFERENT)
        bare = Bare(1, files, seconds)
        small = write_bundle(directory / "small.zip", kind, files, _SMALL)
        for size in sizes:
            bundle = write_bundle(directory / "large.zip", kind, files, size)
            for database in sites.databases:
                found.append(_accept(sites, small, bundle, bare, (kind, database, size)))
                print(found[-1], flush=True)
            bundle.unlink()
        bare.close()
    return found


def _accept(sites: Sites, small: Path, bundle: Path, bare: Bare, which: tuple[str, str, int]) -> Acceptance:
    kind, database, size = which
    rate = bare.rate()[0]
    with sites.running(database, workers=0) as site:
        assert site.post_bundle(small, "respond-async")[0].status_code == 202
        web = site.service.web_pid
        time.sleep(0.5)
        before = resident_mebibytes(web)
        forget_peak(web)
        answer, seconds = site.post_bundle(bundle, "respond-async")
        assert answer.status_code == 202, answer.text
        growth = peak_mebibytes(web) - before
    rate = (rate + bare.rate()[0]) / 2
    return Acceptance(kind, database, size, bundle.stat().st_size / 1024**2, seconds, growth, rate)


def judge_acceptances(found: list[Acceptance]) -> list[Target]:
    """Hold them against what was promised."""
    targets = []
    for each in found:
        name = f"{each.devices:,} {each.kind}, {each.database}"
        if each.devices <= 10_000:
            share = each.seconds * each.bare / each.devices * 100
            targets.append(Target(f"{name}: accepting, of the time to open them", share, "<= 15", "%"))
        limit = "<= 60" if each.devices <= 10_000 else "<= 128"
        targets.append(Target(f"{name}: growth of the web process", each.growth, limit, "MiB"))
    return targets
