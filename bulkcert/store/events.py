"""The audit trail. An event is appended in the transaction of the act it tells of."""

import json
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.events import Event, EventType
from bulkcert.store import lists
from bulkcert.store.schema import events


class Events:
    """Append and read audit records."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, *records: Event) -> None:
        """Append records in their order."""
        for (number, at, actor), alike in groupby(
            records, lambda record: (record.type, record.at, record.actor)
        ):
            facts = [json.dumps(dict(record.facts)) for record in alike]
            told = lists.texts(self._connection, facts).add_columns(
                sa.literal(int(number)), sa.literal(at, events.c.at.type), sa.literal(actor, sa.Text)
            )
            statement = sa.insert(events).from_select(["facts", "number", "at", "actor"], told)
            self._connection.execute(statement)

    def list(self, *, newest: int = 100) -> tuple[Event, ...]:
        """Read the newest records, oldest of them first."""
        rows = self._connection.execute(sa.select(events).order_by(events.c.id.desc()).limit(newest))
        found = [Event(EventType(row.number), row.at, row.actor, json.loads(row.facts)) for row in rows]
        return tuple(reversed(found))
