"""Several machines, each with an address of its own, work for one PostgreSQL: one may fall silent or die."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.fleet import a_fleet
from tests.faults.machines import HOME, Machine, Network, Workers, needs_networks
from tests.faults.scale import FAULTS, sized
from tests.faults.site import LEASE_SECONDS, Claim, Site
from tests.live.service import wait_until
from tests.postgres import Cluster

pytestmark = FAULTS

FLEET = sized(1500, 10_000)
WORKERS = ("worker-1", "worker-2", "worker-3")
JOINED, LOST = 5100, 5102


@dataclass(frozen=True)
class Installation:
    """An API machine (without workers), three machines of workers, and one of the database."""

    network: Network
    site: Site
    machines: dict[str, Machine]

    def start_workers(self) -> dict[str, Workers]:
        return {name: self.site.start_workers(1, machine) for name, machine in self.machines.items()}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    needs_networks()
    with contextlib.ExitStack() as cleanup:
        network = Network(tmp_path, cleanup)
        cluster = Cluster((HOME,))
        cleanup.callback(network.home.do, cluster.close)
        network.home.do(cluster.start)
        url = cluster.new_database()
        name = url.rpartition("/")[2]
        door_url = f"postgresql+psycopg://postgres@/{name}?host={cluster.directory}&port={cluster.port}"
        site = Site(tmp_path, url, door_url=door_url, machine=network.join("api"))
        cleanup.push(site.__exit__)
        yield Installation(network, site, {name: network.join(name) for name in WORKERS})


def done_by_host(site: Site) -> dict[str, int]:
    workers = site.request("GET", "/api/v1/workers").json()["items"]
    done: dict[str, int] = {}
    for worker in workers:
        done[worker["host"]] = done.get(worker["host"], 0) + worker["items_done"]
    return done


def test_an_import_is_finished_by_three_machines_one_of_which_is_killed(
    installation: Installation, tmp_path: Path
) -> None:
    site = installation.site
    fleet = a_fleet(tmp_path, "SPREAD", FLEET)
    workers = installation.start_workers()
    wait_until(lambda: len(site.request("GET", "/api/v1/workers").json()["items"]) == 3, 60)
    began = time.monotonic()
    import_id = site.upload(fleet)
    accepted = time.monotonic() - began

    wait_until(lambda: done_by_host(site)["worker-2"] >= 50, 120)
    wait_until(lambda: bool(claims_on(site, "worker-2")), 60)
    workers["worker-2"].kill()
    killed_at = site.show(import_id)["counts"]["done"]
    site.finished(import_id, 600)
    taken = time.monotonic() - began
    done = done_by_host(site)
    print(f"{FLEET} accepted in {accepted:.1f} s, done in {taken:.1f} s, killed at {killed_at}: {done}")

    assert killed_at < FLEET
    assert site.outcomes(import_id, fleet) == {"created": FLEET}
    assert done.keys() == set(WORKERS)
    assert sum(done.values()) == FLEET
    assert min(done.values()) >= 50
    site.prove([fleet], 1)


def states(site: Site) -> dict[str, str]:
    return {
        worker["host"]: worker["state"] for worker in site.request("GET", "/api/v1/workers").json()["items"]
    }


def cut_off_in_a_chunk(installation: Installation, name: str) -> Claim:
    """Pull the cable of a machine whose worker holds a chunk, and does not give it up in that moment."""
    while True:
        wait_until(lambda: bool(claims_on(installation.site, name)), 60)
        claims = claims_on(installation.site, name)
        installation.network.cut(name)
        if claims and claims == claims_on(installation.site, name):
            return claims[0]
        installation.network.mend(name)


def claims_on(site: Site, name: str) -> list[Claim]:
    """What the workers of a machine hold: the next chunk, too, while one is committed."""
    return [claim for claim in site.claims() if claim.host == name]


@pytest.mark.parametrize("seconds", sized([0], [0, 25]))
def test_a_machine_that_is_cut_off_in_the_middle_of_a_chunk_does_nothing_twice_when_it_is_back(
    installation: Installation, tmp_path: Path, seconds: int
) -> None:
    """Back at once when the others are done: its connection still stands. After 25 seconds it is given up."""
    site = installation.site
    fleet = a_fleet(tmp_path, "CUTOFF", 400, 10)
    workers = installation.start_workers()
    wait_until(lambda: len(states(site)) == 3, 60)
    import_id = site.upload(fleet)
    claim = cut_off_in_a_chunk(installation, "worker-3")
    cut_at = time.monotonic()
    before = site.worker(claim.worker_id)
    site.finished(import_id)
    wait_until(lambda: states(site)["worker-3"] == "lost", 4 * LEASE_SECONDS)
    time.sleep(max(0.0, cut_at + seconds - time.monotonic()))
    installation.network.mend("worker-3")
    wait_until(lambda: states(site)["worker-3"] == "running", 60)

    assert site.worker(claim.worker_id).items_done == before.items_done
    assert site.events_of(claim.worker_id) == [JOINED, LOST, JOINED]
    assert [claim.process_id] == workers["worker-3"].pids
    assert site.outcomes(import_id, fleet) == {"created": 400}
    site.prove([fleet], 1)
    workers["worker-1"].kill()
    workers["worker-2"].kill()
    again = site.upload(fleet)
    assert site.finished(again)["counts"]["unchanged"] == 400
