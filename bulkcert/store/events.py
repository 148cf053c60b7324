"""The audit trail. An event is inserted in the transaction of the act that it records."""

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Row

from bulkcert.store.readable import all_readable, refuse_unknown
from bulkcert.store.sql import lists
from bulkcert.store.tables.schema import events
from bulkcert.values.events import Event, EventType

_LOGGED = {
    EventType.IMPORT_ACCEPTED: "import accepted",
    EventType.IMPORT_FINISHED: "import finished",
    EventType.IMPORT_CANCELLED: "import cancelled",
    EventType.DELETION_ACCEPTED: "deletion accepted",
    EventType.DELETION_FINISHED: "deletion finished",
    EventType.WORKER_JOINED: "worker joined",
    EventType.WORKER_LEFT: "worker left",
    EventType.WORKER_LOST: "worker lost",
}
"""Rare events, which are also logged; events of each device are in the audit trail alone."""

log = structlog.get_logger()


class Events:
    """Rows of the audit trail. appended: receives the events to be logged after the commit."""

    def __init__(self, connection: Connection, appended: "list[Event]") -> None:
        self._connection = connection
        self._appended = appended

    def append(self, *records: Event) -> None:
        """Insert events in their order."""
        self._appended.extend(record for record in records if record.type in _LOGGED)
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
        """Return the newest events, the oldest of them first."""
        rows = self._connection.execute(sa.select(events).order_by(events.c.id.desc()).limit(newest))
        return tuple(reversed(all_readable(_event, rows)))


@refuse_unknown("event")
def _event(row: Row[Any]) -> Event:
    return Event(EventType(row.number), row.at, row.actor, json.loads(row.facts))


def log_events(committed: Iterable[Event]) -> None:
    """Log committed events: begin and end of bulk requests, and workers."""
    for event in committed:
        write = log.warning if event.type is EventType.WORKER_LOST else log.info
        write(_LOGGED[event.type], actor=event.actor, **event.facts)
