"""Promise P5: a worker that was frozen past its lease comes back with a result that nobody wants any more."""

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.faults.fleet import a_fleet
from tests.faults.machines import Workers
from tests.faults.scale import FAULTS
from tests.faults.site import Claim, Site
from tests.live.service import wait_until

pytestmark = FAULTS

DEVICES = 200
JOINED, LOST = 5100, 5102
TRANSACTIONS = sa.text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def claim_of(site: Site, workers: Workers) -> Claim | None:
    return next((claim for claim in site.claims() if claim.process_id in workers.pids), None)


def is_in_a_transaction(site: Site) -> bool:
    """Whether somebody who is frozen would keep all others waiting."""
    if site.store.engine.dialect.name == "postgresql":
        return bool(site.rows(TRANSACTIONS)[0][0])
    try:
        with contextlib.closing(
            sqlite3.connect(str(site.store.engine.url.database), timeout=1)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    return False


def freeze_in_a_chunk(site: Site, workers: Workers, cleanup: contextlib.ExitStack) -> Claim:
    """Freeze a worker that opens files, outside of any transaction."""
    while True:
        wait_until(lambda: claim_of(site, workers) is not None, 60)
        claim = claim_of(site, workers)
        if claim is None:
            continue
        freezing = contextlib.ExitStack()
        freezing.enter_context(frozen(claim.process_id))
        if claim in site.claims() and not is_in_a_transaction(site):
            cleanup.push(freezing)
            return claim
        freezing.close()


def finish_without(site: Site, frozen_one: Claim, import_id: str) -> dict[str, Any]:
    """Let others finish an import; they may be done before anybody notes that a worker is silent."""
    found = site.finished(import_id)
    wait_until(lambda: site.worker(frozen_one.worker_id).state == "lost", 60)
    return found


def prove_that_it_was_refused(site: Site, claim: Claim, before: Any) -> None:
    """It is in the registry again, and its result is not counted."""
    wait_until(lambda: site.worker(claim.worker_id).state == "running", 60)
    assert site.worker(claim.worker_id).items_done == before.items_done
    assert site.events_of(claim.worker_id) == [JOINED, LOST, JOINED]


def test_the_late_result_of_a_frozen_worker_is_refused(site: Site, tmp_path: Path) -> None:
    first, second = a_fleet(tmp_path, "FROZEN", DEVICES, 8), a_fleet(tmp_path, "THAWED", 60)
    frozen_one = site.start_workers(1)
    other = site.start_workers(1)
    wait_until(lambda: bool(frozen_one.pids and other.pids), 60)
    import_id = site.upload(first)
    with contextlib.ExitStack() as freezing:
        claim = freeze_in_a_chunk(site, frozen_one, freezing)
        before = site.worker(claim.worker_id)
        assert finish_without(site, claim, import_id)["counts"]["created"] == DEVICES
    prove_that_it_was_refused(site, claim, before)
    site.prove([first], 1)

    other.kill()  # and the one that came back works on
    assert site.finished(site.upload(second))["counts"]["created"] == 60
    assert [claim.process_id] == frozen_one.pids
    assert site.worker(claim.worker_id).items_done == before.items_done + 60
    site.prove([first, second], 2)


def test_a_worker_that_was_frozen_before_its_commit_changes_nothing(tmp_path: Path) -> None:
    """On SQLite, whose write lock the test holds until the worker stands before it with all it has opened."""
    fleet = a_fleet(tmp_path, "BEFORE", 100, 10)
    with Site(tmp_path, f"sqlite:///{tmp_path}/store.sqlite3") as site:
        import_id = site.upload(fleet)
        late = site.start_workers(1)
        wait_until(lambda: claim_of(site, late) is not None, 60)
        with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            claim = claim_of(site, late)
            if claim is None:
                pytest.fail("the worker was too quick")
            time.sleep(2)
            with frozen(claim.process_id):
                before = site.worker(claim.worker_id)
                lock.execute("ROLLBACK")
                site.start_workers(1)
                assert finish_without(site, claim, import_id)["counts"]["created"] == 100
            prove_that_it_was_refused(site, claim, before)
        site.prove([fleet], 1)
