"""PostgreSQL is restarted in the middle of an import: everything reconnects by itself, and nothing is lost."""

import contextlib
import itertools
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.faults.fleet import Fleet, a_fleet
from tests.faults.scale import FAULTS, sized
from tests.faults.site import Site
from tests.live.service import wait_until
from tests.postgres import own_cluster

pytestmark = FAULTS

RESTARTS = sized(("fast", "immediate"), ("fast", "immediate") * 10)
AWAY_SECONDS = 1
DEVICES = sized(200, 2000)
MILLISECONDS = 40  # for one file: leases are renewed in the middle of chunks, and then the database is away
SMALL = sized(40, 400)


class Clients:
    """Clients that go on asking whatever happens; what was promised to them is kept in mind."""

    def __init__(self, site: Site, import_id: str, fleets: list[Fleet]) -> None:
        self._site = site
        self._import_id = import_id
        self._fleets = fleets
        self._stopped = threading.Event()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.promised: dict[str, Fleet] = {}
        self.unanswered: list[Exception] = []

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._run, args=(act,)) for act in (self._send, self._look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def _run(self, act: object) -> None:
        assert callable(act)
        for turn in itertools.count():
            if self._stopped.is_set():
                return
            try:
                act(turn)
            except Exception as failure:  # a connection that is refused or broken, say
                self.unanswered.append(failure)
            self._stopped.wait(0.3)

    def _send(self, turn: int) -> None:
        if turn >= len(self._fleets):
            return
        fleet = self._fleets[turn]
        wait = ("respond-async", "wait=3")[turn % 2]
        answer = self._site.send(fleet, Prefer=wait, **{"Idempotency-Key": str(uuid.uuid4())})
        self.statuses["import", answer.status_code] += 1
        if answer.ok:
            self.promised[answer.json()["id"]] = fleet

    def _look(self, _turn: int) -> None:
        for path in (f"/api/v1/imports/{self._import_id}", "/health/ready", "/health/live"):
            answer = self._site.request("GET", path)
            self.statuses[path.rpartition("/")[2], answer.status_code] += 1


def test_a_restart_of_postgresql_is_survived_by_api_and_workers(tmp_path: Path) -> None:
    large = a_fleet(tmp_path, "LARGER", DEVICES, MILLISECONDS)
    small = [a_fleet(tmp_path, f"S{number:05}", 2) for number in range(SMALL)]
    with own_cluster() as cluster, Site(tmp_path, cluster.new_database()) as site:
        workers = site.start_workers(2)
        import_id = site.upload(large)
        clients = Clients(site, import_id, small)
        with clients.at_work():
            while site.show(import_id)["counts"]["done"] == 0:
                time.sleep(0.1)
            pids = workers.pids
            for mode in RESTARTS:
                cluster.stop(mode)
                time.sleep(AWAY_SECONDS)
                cluster.start()
                time.sleep(1.5)
            site.finished(import_id)
        print(f"answers: {dict(clients.statuses)}")

        assert clients.unanswered == []
        assert {status for _, status in clients.statuses} <= {200, 201, 202, 503}
        assert clients.statuses["live", 200] == sum(
            number for (what, _), number in clients.statuses.items() if what == "live"
        )
        assert 503 in {status for _, status in clients.statuses}
        assert site.outcomes(import_id, large) == {"created": DEVICES}
        for promised, fleet in clients.promised.items():
            site.finished(promised)
            assert site.outcomes(promised, fleet) == {"created": 2}
        kept = site.listed("/api/v1/imports")  # one that was answered 503 may be kept nevertheless
        for each in kept:
            site.finished(each["id"])
        identities = {
            item["identity"] for each in kept for item in site.listed(f"/api/v1/imports/{each['id']}/items")
        }
        site.prove([large, *(fleet for fleet in small if fleet.keys.keys() <= identities)], len(kept))
        assert workers.pids == pids
        assert "internal_fault" not in site.api.log
        assert "worker stops" not in workers.log_file.read_text()


def test_a_web_process_that_dies_while_postgresql_is_away_comes_back_with_it(tmp_path: Path) -> None:
    with own_cluster() as cluster, Site(tmp_path, cluster.new_database()) as site:

        def is_ready() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return site.request("GET", "/health/ready").status_code == 200
            return False

        cluster.stop()
        os.kill(site.api.web_pid, signal.SIGKILL)
        wait_until(
            lambda: site.api.log.count("Unexpected exit") >= 3, 60
        )  # the first, and those that found nothing
        assert site.api.is_there()
        cluster.start()
        wait_until(is_ready, 60)
