"""Retention: deletion of expired rows, done by any worker at intervals."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from bulkcert.store.store import Store

_EVERY_SECONDS = 300.0
_SCRUB_EVERY_SECONDS = 10.0
_OVERDUE = timedelta(hours=1)
"""Age of traces of deleted secrets at which a warning is logged: a reader never ends."""
_WORKERS_KEPT = timedelta(days=30)
_MDM_EVENTS_KEPT = timedelta(hours=2)
"""Twice the time during which a webhook event is accepted: a repeat of a deleted event is stale."""
_MDM_COMMANDS_KEPT = timedelta(days=30)


log = structlog.get_logger()


class Retention:
    """Deletes expired rows. reports_kept: how long reports stay after the end of their request."""

    def __init__(self, store: Store, now: Callable[[], datetime], reports_kept: timedelta) -> None:
        self._store = store
        self._now = now
        self._reports_kept = reports_kept
        self._next = 0.0
        self._next_scrub = {True: 0.0, False: 0.0}  # idle, busy
        self._clean_at = time.monotonic()

    def do_if_due(self) -> None:
        """Delete expired rows, unless that was done in the last five minutes."""
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
        """Remove traces of deleted secrets, every ten seconds at most. is_idle: as in `remove_traces`."""
        now = time.monotonic()
        if now < self._next_scrub[is_idle]:
            return
        self._next_scrub[is_idle] = now + _SCRUB_EVERY_SECONDS
        if self._store.remove_traces(is_idle=is_idle):
            self._clean_at = now
        elif now - self._clean_at > _OVERDUE.total_seconds():
            self._clean_at = now  # once in an hour
            log.warning("deleted keys are still in the database's files: a reader does not end")

    def prune_one(self) -> bool:
        """Delete the items of one expired bulk request; return False if there is none.

        Its counts and its events stay.
        """
        with self._store.writing() as tx:
            now = self._now()
            found = tx.requests.prunable(now - self._reports_kept)
            if found is not None:
                tx.requests.prune(found, now)
            return found is not None
