"""Promise P2: a web process that dies between request and answer, and a client that asks again by its key."""

import contextlib
import os
import random
import signal
import threading
import time
import uuid
from pathlib import Path

import requests
import sqlalchemy as sa

from bulkcert.store.tables.imports import idempotency_keys
from tests.faults.fleet import Fleet, a_fleet
from tests.faults.scale import FAULTS, sized
from tests.faults.site import Site
from tests.live.service import children_of, command_of

pytestmark = FAULTS

KILLS = sized(4, 100)
DEVICES = 20
SECONDS = 120
"""The longest that a client tries."""


class Client:
    """Sends a bundle again and again, with the same key, until it has an answer."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.killed = 0

    def insist(self, fleet: Fleet, kill_after: float) -> str:
        """Give the id of the import; the web process dies so many seconds after the first try began."""
        key, end = str(uuid.uuid4()), time.monotonic() + SECONDS
        killer = threading.Timer(kill_after, self._kill_web)
        killer.start()
        try:
            answer = self._try(fleet, key)
        finally:
            killer.join()
        if answer is None:
            self.killed += 1
        while answer is None:
            assert time.monotonic() < end, "no answer"
            time.sleep(0.1)
            answer = self._try(fleet, key)
        return str(answer.json()["id"])

    def _try(self, fleet: Fleet, key: str) -> requests.Response | None:
        wait = random.choice(["respond-async", "wait=10"])
        try:
            answer = self._site.send(fleet, Prefer=wait, **{"Idempotency-Key": key})
        except requests.RequestException:
            return None
        assert answer.status_code in {201, 202}, answer.text
        return answer

    def _kill_web(self) -> None:
        for pid in children_of(self._site.api.pid):
            if "spawn_main" in command_of(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def how_long_an_import_takes(site: Site, fleet: Fleet) -> float:
    began = time.monotonic()
    assert site.send(fleet, Prefer="wait=60").status_code == 201
    return time.monotonic() - began


def test_a_client_that_repeats_its_key_after_a_crash_gets_exactly_one_import(
    site: Site, tmp_path: Path
) -> None:
    site.start_workers(1)
    client = Client(site)
    fleets = [a_fleet(tmp_path, "WARMUP", DEVICES, 2)]
    taken = min(how_long_an_import_takes(site, fleets[0]) for _ in range(2))
    ids: list[str] = []
    while client.killed < KILLS:
        fleets.append(a_fleet(tmp_path, f"W{len(fleets):05}", DEVICES, 2))
        ids.append(client.insist(fleets[-1], random.uniform(0, taken)))
    for fleet, import_id in zip(fleets[1:], ids, strict=True):
        assert site.finished(import_id)["state"] == "succeeded"
        assert site.outcomes(import_id, fleet) == {"created": DEVICES}
    print(f"kills: {client.killed}, imports: {len(ids)}")

    assert len(set(ids)) == len(ids)
    site.prove(fleets, len(ids) + 2)
    assert len(site.rows(sa.select(idempotency_keys.c.key))) == len(ids)
    assert list((site.api.data_dir / "spool").iterdir()) == []
