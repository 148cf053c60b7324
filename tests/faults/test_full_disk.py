"""Promise P4: the disk fills or a write fails, at any point. Nothing is promised that is not kept."""

import contextlib
import pwd
import resource
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import sqlalchemy as sa

from tests.faults.fleet import a_fleet
from tests.faults.machines import Machine, SmallDisk, Workers, needs_small_disks
from tests.faults.scale import FAULTS, sized
from tests.faults.site import Site
from tests.live.service import wait_until
from tests.postgres import Cluster

pytestmark = FAULTS

MEGABYTES = sized(48, 256)  # PostgreSQL keeps old versions of rows for some time
ROOMS = sized(
    (0, 4096, 65_536, 150_000, 250_000, 400_000, 600_000, 1_000_000),
    tuple(range(0, 1_000_000, 10_000)),
)
DEVICES = 100
LOGS = 200_000


class Disk(Protocol):
    """What can be full."""

    def fill(self, left: int = 0) -> None: ...
    def empty(self) -> None: ...


class WriteLimit:
    """No process of a service can write a file beyond a size: what it tries fails with EFBIG (setrlimit(2)).

    LOGS bytes are always free: a log that cannot be written is another fault.
    """

    def __init__(self, site: Site, workers: list[Workers]) -> None:
        self._site = site
        self._workers = workers

    def fill(self, left: int = 0) -> None:
        self._limit(LOGS + left)

    def empty(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for pid in (self._site.api.web_pid, *(pid for workers in self._workers for pid in workers.pids)):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@dataclass(frozen=True)
class Place:
    """An installation with a worker, whose disk can be full."""

    site: Site
    workers: Workers
    disk: Disk


@pytest.fixture(params=["sqlite", "sqlite-writes", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with contextlib.ExitStack() as cleanup:
        make = {
            "sqlite": on_sqlite,
            "sqlite-writes": on_sqlite_with_failing_writes,
            "postgresql": on_postgresql,
        }
        yield make[request.param](tmp_path, cleanup)


def on_sqlite(directory: Path, cleanup: contextlib.ExitStack) -> Place:
    """The whole data directory stands on the small disk."""
    needs_small_disks()
    machine = Machine("machine", cleanup)
    disk = SmallDisk(machine, directory / "disk", MEGABYTES)
    data_dir = disk.directory / "data"
    url = f"sqlite:///{data_dir}/bulkcert.sqlite3"
    site = cleanup.enter_context(Site(directory, url, machine=machine, data_dir=data_dir))
    return Place(site, site.start_workers(1, machine), disk)


def on_sqlite_with_failing_writes(directory: Path, cleanup: contextlib.ExitStack) -> Place:
    site = cleanup.enter_context(Site(directory, f"sqlite:///{directory}/data/bulkcert.sqlite3"))
    workers = site.start_workers(1)
    return Place(site, workers, WriteLimit(site, [workers]))


def on_postgresql(directory: Path, cleanup: contextlib.ExitStack) -> Place:
    """The tables stand on the small disk."""
    needs_small_disks()
    machine = Machine("machine", cleanup)
    cluster = Cluster()
    cleanup.callback(machine.do, cluster.close)
    user = pwd.getpwuid(cluster.data.stat().st_uid)
    disk = SmallDisk(machine, cluster.directory / "disk", MEGABYTES, user.pw_uid)
    cleanup.callback(disk.remove)
    machine.do(cluster.start)
    cluster.execute(f"CREATE TABLESPACE small LOCATION '{disk.directory}'")
    cluster.execute("CREATE DATABASE small TEMPLATE template0 TABLESPACE small")
    cleanup.callback(prove_by_amcheck, cluster)
    site = cleanup.enter_context(Site(directory, cluster.url("small")))
    return Place(site, site.start_workers(1), disk)


def prove_by_amcheck(cluster: Cluster) -> None:
    """Tables and indexes are sound, and each row of a table is in its indexes."""
    cluster.execute("CREATE EXTENSION IF NOT EXISTS amcheck", "small")
    indexes = """
        SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
        WHERE a.amname = 'btree' AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'i'"""
    cluster.execute(indexes, "small")
    tables = """
        SELECT c.relname, v.msg FROM pg_class c, LATERAL verify_heapam(c.oid) v
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"""
    assert cluster.execute(tables, "small") == []


def truncate_log(site: Site) -> None:
    """Let SQLite's log begin anew: what it has of a file could be written on a full disk."""
    if site.store.engine.dialect.name == "sqlite":
        site.rows(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))


def test_an_upload_onto_a_full_disk_is_kept_whole_or_refused_and_the_service_recovers(
    place: Place, tmp_path: Path
) -> None:
    site = place.site
    answers: Counter[tuple[int, str]] = Counter()
    fleets = [a_fleet(tmp_path, f"D{number:05}", DEVICES) for number, _ in enumerate(ROOMS)]
    for fleet, room in zip(fleets, ROOMS, strict=True):
        key = {"Idempotency-Key": str(uuid.uuid4())}
        truncate_log(site)
        place.disk.fill(room)
        answer = site.send(fleet, **key)
        place.disk.empty()
        answers[answer.status_code, answer.json().get("code", "")] += 1
        if answer.status_code != 202:
            again = site.send(fleet, **key)
            assert (answer.status_code, again.status_code) in {(503, 202), (507, 202)}, (
                answer.text + again.text
            )
    print(f"answers: {dict(answers)}")
    kept = site.listed("/api/v1/imports")
    for each in kept:
        site.finished(each["id"])

    assert (507, "storage_full") in answers
    assert {item["counts"]["created"] for item in site.listed("/api/v1/imports")} == {DEVICES}
    site.prove(fleets, len(fleets))
    assert "internal_fault" not in site.api.log


def test_a_disk_that_is_full_when_workers_commit_delays_an_import_and_spoils_nothing(
    place: Place, tmp_path: Path
) -> None:
    site = place.site
    fleet = a_fleet(tmp_path, "COMMIT", sized(400, 1000), 8)
    import_id = site.upload(fleet)
    wait_until(lambda: site.show(import_id)["counts"]["done"] > 0, 60)
    pids = place.workers.pids
    truncate_log(site)
    place.disk.fill()
    wait_until(lambda: "storage_full" in place.workers.log_file.read_text(), 60)
    stuck = site.show(import_id)
    time.sleep(1)

    assert stuck["finished_at"] is None
    assert site.request("GET", "/health/live").status_code == 200
    place.disk.empty()
    site.finished(import_id)
    assert site.outcomes(import_id, fleet) == {"created": len(fleet.keys)}
    site.prove([fleet], 1)
    assert place.workers.pids == pids
    assert "internal_fault" not in site.api.log
