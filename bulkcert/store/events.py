"""The audit trail. An event is appended in the transaction of the act it tells of."""

import json

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.events import Event, EventType
from bulkcert.store.schema import events


class Events:
    """Append and read audit records."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, *records: Event) -> None:
        """Append records in their order."""
        if not records:
            return
        rows = [
            {
                "number": int(record.type),
                "at": record.at,
                "actor": record.actor,
                "facts": json.dumps(dict(record.facts)),
            }
            for record in records
        ]
        self._connection.execute(sa.insert(events), rows)

    def list(self, *, newest: int = 100) -> tuple[Event, ...]:
        """Read the newest records, oldest of them first."""
        rows = self._connection.execute(sa.select(events).order_by(events.c.id.desc()).limit(newest))
        found = [Event(EventType(row.number), row.at, row.actor, json.loads(row.facts)) for row in rows]
        return tuple(reversed(found))
