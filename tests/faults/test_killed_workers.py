"""Promise P1: workers that are killed at random moments lose nothing, and do nothing twice."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from tests.faults.fleet import a_fleet
from tests.faults.machines import Workers, is_worker
from tests.faults.scale import FAULTS, sized
from tests.faults.site import Claim, Site
from tests.live.service import children_of

pytestmark = FAULTS

KILLS = sized(10, 200)
DEVICES = sized(200, 1000)
MILLISECONDS = 12  # for one file: a chunk of 50 is in hand for more than half a second


class Killer:
    """Kills whoever works: a worker, its opening child, or a supervisor with all that it started."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._supervisors = [site.start_workers(2), site.start_workers(1)]
        self.kills: Counter[str] = Counter()

    def strike(self) -> None:
        """Wait until somebody holds a chunk, and some time more, and kill."""
        claims = self._site.claims()
        if not claims:
            time.sleep(0.02)
            return
        victim = random.choice(claims)
        time.sleep(random.uniform(0, 1))
        if is_worker(victim.process_id):
            how = random.choices([self._worker, self._child, self._supervisor], [14, 3, 3])[0]
            how(victim)

    def _worker(self, victim: Claim) -> None:
        self._kill("worker", victim.process_id)

    def _child(self, victim: Claim) -> None:
        for child in children_of(victim.process_id):
            self._kill("child", child)

    def _supervisor(self, victim: Claim) -> None:
        for place, supervisor in enumerate(self._supervisors):
            if victim.process_id in supervisor.pids:
                size = len(supervisor.pids)
                supervisor.kill()
                self._supervisors[place] = self._restart(2 if place == 0 else 1)
                self.kills["supervisor"] += 1
                self.kills["worker"] += size - 1
                return

    def _restart(self, processes: int) -> Workers:
        return self._site.start_workers(processes)

    def _kill(self, what: str, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills[what] += 1


def test_workers_that_are_killed_at_random_moments_lose_nothing_and_do_nothing_twice(
    site: Site, tmp_path: Path
) -> None:
    fleet = a_fleet(tmp_path, "KILLED", DEVICES, MILLISECONDS)
    killer = Killer(site)
    imports = [site.upload(fleet)]
    while killer.kills.total() < KILLS:
        if site.is_finished(imports[-1]):  # kills are left: the same again is `unchanged`
            imports.append(site.upload(fleet))
        killer.strike()
    for each in imports:
        site.finished(each, sized(120, 600))
    imports.append(site.upload(fleet))
    site.finished(imports[-1])
    print(f"kills: {dict(killer.kills)}, imports: {len(imports)}")

    found = [site.outcomes(each, fleet) for each in imports]
    # A file in hand of a child that dies is taken to have killed it; the next import of it is good.
    assert sum(outcomes["crashed"] for outcomes in found) <= killer.kills["child"]
    assert sum(found, Counter()).keys() <= {"created", "unchanged", "crashed"}
    assert sum(outcomes["created"] for outcomes in found) == DEVICES
    assert found[-1]["crashed"] == 0
    site.prove([fleet], len(imports))
