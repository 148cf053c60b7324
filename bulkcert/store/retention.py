"""Upkeep: what is kept for a time only goes when that is over. Any worker does it, now and then."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from bulkcert.store.store import Store

_EVERY_SECONDS = 300.0
_SCRUB_EVERY_SECONDS = 10.0
_OVERDUE = timedelta(hours=1)
"""Traces of deleted secrets that stay for so long are worth a warning: something reads without an end."""
_WORKERS_KEPT = timedelta(days=30)
_MDM_EVENTS_KEPT = timedelta(hours=2)
"""Twice as long as a webhook counts as fresh: an event that is forgotten is stale."""
_MDM_COMMANDS_KEPT = timedelta(days=30)


log = structlog.get_logger()


class Upkeep:
    """Prunes reports, and forgets what nobody asks for any more. reports_kept: after their request ended."""

    def __init__(self, store: Store, now: Callable[[], datetime], reports_kept: timedelta) -> None:
        self._store = store
        self._now = now
        self._reports_kept = reports_kept
        self._next = 0.0
        self._next_scrub = {True: 0.0, False: 0.0}  # idle, busy
        self._clean_at = time.monotonic()

    def do_if_due(self) -> None:
        """Do all there is, a few times in an hour."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_SECONDS
        while self.prune_one():
            pass
        with self._store.writing() as tx:
            now = self._now()
            tx.idempotency.forget_old(now)
            tx.workers.forget(now - _WORKERS_KEPT)
            tx.mdm.forget_events(now - _MDM_EVENTS_KEPT)
            tx.mdm_commands.forget(now - _MDM_COMMANDS_KEPT)

    def scrub_if_due(self, *, is_idle: bool) -> None:
        """Remove traces of deleted secrets, every ten seconds. is_idle: as in `Store.remove_traces`."""
        now = time.monotonic()
        if now < self._next_scrub[is_idle]:
            return
        self._next_scrub[is_idle] = now + _SCRUB_EVERY_SECONDS
        if self._store.remove_traces(is_idle=is_idle):
            self._clean_at = now
        elif now - self._clean_at > _OVERDUE.total_seconds():
            self._clean_at = now  # once in an hour
            log.warning("deleted keys are still in the database's files: somebody reads without an end")

    def prune_one(self) -> bool:
        """Delete the items of one bulk request that ended long ago; False where there is none.

        Its counts stay, and so do its events.
        """
        with self._store.writing() as tx:
            now = self._now()
            found = tx.requests.prunable(now - self._reports_kept)
            if found is not None:
                tx.requests.prune(found, now)
            return found is not None
