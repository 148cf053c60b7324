"""Failed logins, counted by login and by source."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.tables.access import login_throttles


@dataclass(frozen=True)
class Throttle:
    """Recent failures of a login or source."""

    failures: int
    last_failed_at: datetime


class Throttles:
    """Rows of failed logins, counted by digests of login and source."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, throttle_id: str) -> Throttle | None:
        """Return a count; None if there is none."""
        row = self._connection.execute(
            sa.select(login_throttles).where(login_throttles.c.id == throttle_id)
        ).first()
        return None if row is None else Throttle(row.failures, row.last_failed_at)

    def set(self, throttle_id: str, failures: int, now: datetime) -> None:
        """Insert or update a count."""
        values = {"failures": failures, "last_failed_at": now}
        changed = self._connection.execute(
            sa.update(login_throttles).where(login_throttles.c.id == throttle_id).values(values)
        )
        if not changed.rowcount:
            self._connection.execute(sa.insert(login_throttles).values(id=throttle_id, **values))

    def take_back(self, throttle_id: str) -> None:
        """Lower a count by one."""
        self._connection.execute(
            sa.update(login_throttles)
            .where(login_throttles.c.id == throttle_id, login_throttles.c.failures > 0)
            .values(failures=login_throttles.c.failures - 1)
        )

    def clear(self, throttle_id: str, stale_before: datetime) -> None:
        """Delete one count, and all counts older than `stale_before`."""
        old = login_throttles.c.last_failed_at < stale_before
        self._connection.execute(
            sa.delete(login_throttles).where((login_throttles.c.id == throttle_id) | old)
        )
