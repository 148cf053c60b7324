"""Services to measure: real processes, on a database of their own, on SQLite and on PostgreSQL."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import requests

from benchmarks.machine import ended_processor_seconds, processor_seconds
from tests.live.service import LiveService, children_of
from tests.postgres import Cluster, find_binaries

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
ZIP = "application/zip"
_WAIT_SECONDS = 1800
_POSTGRESQL = {"shared_buffers": "128MB", "max_wal_size": "1GB", "autovacuum_naptime": "1min"}
"""The server's own defaults, for those that the tests set otherwise. fsync is on."""


@dataclass
class Site:
    """A running service and where its parts are."""

    database: str
    url: str
    service: LiveService
    cluster: Cluster | None
    session: requests.Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = self.service.client(self.service.token)

    def post_bundle(self, bundle: Path, prefer: str) -> tuple[requests.Response, float]:
        """Upload a bundle as it is; give the answer, and the seconds until it was there."""
        started = time.perf_counter()
        with bundle.open("rb") as content:
            answer = self.session.post(
                f"{self.service.base_url}/api/v1/imports",
                params={"identity_type": "SERIAL_NUMBER"},
                data=content,
                headers={"Content-Type": ZIP, "Prefer": prefer},
                timeout=_WAIT_SECONDS + 60,
            )
        return answer, time.perf_counter() - started

    def import_bundle(self, bundle: Path, count: int) -> tuple[float, float]:
        """Import a bundle whose every device is new.

        Gives the seconds until a worker had the first of it, and until the answer after the last commit.
        """
        began = datetime.now(UTC)
        answer, seconds = self.post_bundle(bundle, f"wait={_WAIT_SECONDS}")
        assert answer.status_code == 201, answer.text
        report = answer.json()
        assert report["counts"]["created"] == count, report
        return (datetime.fromisoformat(report["started_at"]) - began).total_seconds(), seconds

    def used(self) -> dict[str, float]:
        """Tell the processor seconds that each kind of process used so far."""
        workers = self.service.worker_pids
        templates = [pid for worker in workers for pid in children_of(worker)]
        kinds = {
            "web process": [self.service.web_pid],
            "workers": workers,
            "opening processes": templates + [pid for template in templates for pid in children_of(template)],
        }
        if self.cluster is not None:
            kinds["PostgreSQL"] = _backends(self.cluster)
        used = {kind: processor_seconds(pids) for kind, pids in kinds.items()}
        used["opening processes"] += ended_processor_seconds(templates)  # each import has a child of its own
        return used


def _backends(cluster: Cluster) -> list[int]:
    return [cluster.pid, *children_of(cluster.pid)]


class Sites:
    """Makes sites under a directory. PostgreSQL is started when it is asked for first, where there is one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cluster: Cluster | None = None
        self._made = 0
        self.databases = [SQLITE] + [POSTGRESQL] * (find_binaries() is not None)

    def close(self) -> None:
        """Stop PostgreSQL, and remove what it held."""
        if self._cluster is not None:
            self._cluster.close()

    @contextlib.contextmanager
    def running(self, database: str, workers: int, core: int | None = None) -> Iterator[Site]:
        """Run a service with a new database. core: every process of it keeps to that one."""
        self._made += 1
        directory = self._directory / f"site-{self._made}"
        settings = {
            "BULKCERT_LONGEST_WAIT_SECONDS": str(_WAIT_SECONDS),
            "BULKCERT_TOKEN_LIFETIME_SECONDS": "86400",
        }
        cluster = self._postgresql() if database == POSTGRESQL else None
        url = f"sqlite:///{directory / 'bulkcert.sqlite3'}"
        if cluster is not None:
            url = settings["BULKCERT_DATABASE_URL"] = cluster.new_database()
        with _on_core(core):
            service = LiveService(directory, settings, ("--workers", str(workers)))
        try:
            with service:
                yield Site(database, url, service, cluster)
        finally:
            if cluster is not None:
                cluster.drop_database(url)

    def _postgresql(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(**_POSTGRESQL).start()
        return self._cluster


@contextlib.contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Let processes that start meanwhile keep to one core; nothing where the system does not offer that."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def warn(text: str) -> None:
    """Say something that readers of the table should know."""
    print(f"warning: {text}", file=sys.stderr, flush=True)
