"""Upkeep: what is kept for a time only goes when that is over. Any worker does it, now and then."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from bulkcert.store import Store

_EVERY_SECONDS = 300.0
_WORKERS_KEPT = timedelta(days=30)
_MDM_EVENTS_KEPT = timedelta(hours=2)
"""Twice as long as a webhook counts as fresh: an event that is forgotten is stale."""
_MDM_COMMANDS_KEPT = timedelta(days=30)


class Upkeep:
    """Prunes reports, and forgets what nobody asks for any more. reports_kept: after their request ended."""

    def __init__(self, store: Store, now: Callable[[], datetime], reports_kept: timedelta) -> None:
        self._store = store
        self._now = now
        self._reports_kept = reports_kept
        self._next = 0.0

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
