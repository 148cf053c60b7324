"""A whole installation under test: a database, one API machine, and as many workers as a test starts."""

import contextlib
import datetime as dt
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import sqlalchemy as sa

from bulkcert.integrity.key_seals import open_key
from bulkcert.store.certificates.device_keys import kept_key
from bulkcert.store.store import Store
from bulkcert.store.tables.certificates import certificate_chains, certificates, device_keys
from bulkcert.store.tables.imports import bulk_requests, chunks, items
from bulkcert.store.tables.imports import workers as workers_table
from bulkcert.store.tables.schema import events
from bulkcert.vault.master_key import read_key_file
from bulkcert.vault.vault import Vault
from tests.faults.fleet import Fleet
from tests.faults.machines import Machine, Workers
from tests.live.service import LiveService

QUICK = {
    "BULKCERT_LIMIT_OPENING_WALL_SECONDS": "1",
    "BULKCERT_LEASE_SECONDS": "4",
    "BULKCERT_WAIT_SECONDS": "0",
}
LEASE_SECONDS = 4
IMPORTS = "/api/v1/imports?identity_type=SERIAL_NUMBER"
ZIP = {"Content-Type": "application/zip"}


@dataclass(frozen=True)
class Claim:
    """Which worker holds which chunk."""

    chunk_id: int
    worker_id: str
    process_id: int
    host: str


class Site:
    """An installation whose database is at `database_url`; `door_url`: how the test reaches that, if not so.

    machine: where the API, and the database if it is a file, is, if not here. data_dir: if not in `directory`.
    """

    def __init__(
        self,
        directory: Path,
        database_url: str,
        settings: Mapping[str, str] | None = None,
        *,
        door_url: str | None = None,
        machine: Machine | None = None,
        data_dir: Path | None = None,
    ) -> None:
        self._cleanup = contextlib.ExitStack()
        self._machine = machine
        self._directory = directory
        self._started = 0
        all_settings = QUICK | {"BULKCERT_DATABASE_URL": database_url} | dict(settings or {})
        self.api = self._on_machine(
            LiveService,
            data_dir or directory / "data",
            all_settings,
            ("--workers", "0"),
            directory / "api.log",
        )
        self._cleanup.callback(self._end)
        assert self._on_machine(lambda: self.api.token)
        self.store = Store(door_url or database_url)
        self._cleanup.callback(self.store.close)
        self.vault = Vault(self._on_machine(read_key_file, self.api.data_dir / "master.key"))

    def _on_machine(self, act: Any, *arguments: Any, **rest: Any) -> Any:
        return act(*arguments, **rest) if self._machine is None else self._machine.do(act, *arguments, **rest)

    def _end(self) -> None:
        """An orderly end takes seconds, and other tests are about it."""
        if self.api.is_there():
            self.api.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"--- API\n{self.api.log[-5000:]}")
        self._cleanup.close()

    def start_workers(self, processes: int, machine: Machine | None = None) -> Workers:
        """Start workers, on this machine or another one; they end with the site at the latest."""
        self._started += 1
        log_file = self._directory / f"workers-{self._started}.log"
        arguments = (self.api.environment, processes, log_file)
        started = Workers(*arguments) if machine is None else machine.do(Workers, *arguments)
        self._cleanup.callback(started.kill)
        return started

    # --- as a client ---------------------------------------------------------------------------------

    def request(self, method: str, path: str, **rest: Any) -> requests.Response:
        return self._on_machine(self.api.request, method, path, **rest)

    def send(self, fleet: Fleet, **headers: str) -> requests.Response:
        """Send a bundle, and give the answer whatever it is."""
        return self.request("POST", IMPORTS, data=fleet.bundle, headers=ZIP | headers)

    def upload(self, fleet: Fleet) -> str:
        """Send a bundle that must be accepted, and give the id of its import."""
        answer = self.send(fleet)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def show(self, import_id: str) -> dict[str, Any]:
        answer = self.request("GET", f"/api/v1/imports/{import_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self, import_id: str, seconds: float = 120) -> dict[str, Any]:
        """Wait for the end of an import; what it says of itself on the way must add up."""
        end = time.monotonic() + seconds
        done = 0
        while True:
            found = self.show(import_id)
            assert done <= found["counts"]["done"] <= found["counts"]["total"], found
            done = found["counts"]["done"]
            if found["finished_at"]:
                return found
            assert time.monotonic() < end, f"not finished after {seconds} seconds: {found}"
            time.sleep(0.2)

    def listed(self, path: str) -> list[dict[str, Any]]:
        """Everything in a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = self.request("GET", f"{path}?limit=1000{cursor}")
            assert answer.status_code == 200, answer.text
            found += answer.json()["items"]
            if answer.json()["next_cursor"] is None:
                return found
            cursor = f"&cursor={answer.json()['next_cursor']}"

    def outcomes(self, import_id: str, fleet: Fleet) -> Counter[str]:
        """The report of a finished import, after proof that it is exact: outcomes (codes of what failed)."""
        shown, report = self.show(import_id), self.listed(f"/api/v1/imports/{import_id}/items")
        tally = Counter(item["outcome"] for item in report)
        counts = shown["counts"]
        assert [item["position"] for item in report] == list(range(len(fleet.keys)))
        assert sorted(item["identity"] for item in report) == sorted(fleet.keys)
        assert {word: number for word, number in counts.items() if number} == {
            "total": len(fleet.keys),
            "done": len(fleet.keys),
            **tally,
        }
        failed = [item for item in report if item["outcome"] == "failed"]
        print(*failed, sep="\n")  # shown where a test fails
        return Counter(item["code"] or item["outcome"] for item in report)

    # --- what the database holds ---------------------------------------------------------------------

    def rows(self, query: sa.Executable) -> list[Any]:
        """Ask the database past all parts of the service."""
        return self._on_machine(self._rows, query)

    def _rows(self, query: sa.Executable) -> list[Any]:
        with self.store.engine.connect() as connection:
            return list(connection.execute(query))

    def claims(self) -> list[Claim]:
        """Who works on what."""
        query = (
            sa.select(chunks.c.id, workers_table.c.id, workers_table.c.process_id, workers_table.c.host)
            .join(workers_table, workers_table.c.id == chunks.c.worker_id)
            .where(chunks.c.leased_until > dt.datetime.now(dt.UTC))
        )
        return [Claim(*row) for row in self.rows(query)]

    def is_finished(self, import_id: str) -> bool:
        """Tell whether an import is over, without asking the API."""
        [found] = self.rows(sa.select(bulk_requests.c.finished_at).where(bulk_requests.c.id == import_id))
        return found.finished_at is not None

    def worker(self, worker_id: str) -> Any:
        """The row of a worker in the registry."""
        [found] = self.rows(sa.select(workers_table).where(workers_table.c.id == worker_id))
        return found

    def events_of(self, worker_id: str) -> list[int]:
        """What was recorded of a worker: numbers, in their order."""
        query = sa.select(events.c.number).where(
            events.c.number.between(5100, 5199), events.c.facts.contains(worker_id)
        )
        return [row.number for row in self.rows(query.order_by(events.c.id))]

    def prove(self, fleets: Iterable[Fleet], imports: int) -> None:
        """Prove that so many imports are over, and all that is kept is these fleets, whole and once.

        Every sealed key opens to the key that was uploaded; rows that belong together are all there.
        """
        keys = {identity: key for fleet in fleets for identity, key in fleet.keys.items()}
        kept = self.rows(sa.select(certificates).where(certificates.c.kind == "device"))
        assert sorted(row.identity for row in kept) == sorted(keys)
        for row in kept:
            opened = open_key(self.vault, kept_key(row, ()), must_be_owned=True)
            assert opened.reveal() == keys[row.identity], f"another key is kept for {row.identity}"
        assert {row.state for row in kept} <= {"current"}
        assert len({row.id for row in kept}) == len({row.fingerprint_sha256 for row in kept}) == len(keys)
        owners = self.rows(sa.select(device_keys.c.public_key_sha256, device_keys.c.identity))
        assert sorted(owners) == sorted((row.public_key_sha256, row.identity) for row in kept)
        links = self.rows(sa.select(certificate_chains.c.certificate_id))
        assert sorted(row.certificate_id for row in links) == sorted(row.id for row in kept)
        self._prove_reports({row.id: row for row in kept}, imports)

    def _prove_reports(self, kept: Mapping[int, Any], imports: int) -> None:
        found = self.rows(sa.select(bulk_requests))
        assert len(found) == imports
        assert all(row.finished_at is not None and row.waiting_bytes == 0 for row in found)
        assert self.rows(sa.select(chunks.c.id)) == []
        created = self.rows(sa.select(items).where(items.c.outcome == "created"))
        assert sorted(row.certificate_id for row in created) == sorted(kept)
        for row in created:
            certificate = kept[row.certificate_id]
            assert (certificate.identity, certificate.fingerprint_sha256, certificate.import_id) == (
                row.identity,
                row.fingerprint_sha256,
                row.request_id,
            )
        numbers = Counter(row.number for row in self.rows(sa.select(events.c.number)))
        assert numbers[1000] == numbers[1001] == imports
        assert (numbers[2000], numbers[2001], numbers[2002]) == (len(kept), 0, 0)
        done = self.rows(sa.select(sa.func.sum(workers_table.c.items_done)))[0][0]
        assert done == sum(row.done for row in found), "workers did another number of devices than were done"
        if self.store.engine.dialect.name == "sqlite":
            assert self.rows(sa.text("PRAGMA integrity_check")) == [("ok",)]
            assert self.rows(sa.text("PRAGMA foreign_key_check")) == []
