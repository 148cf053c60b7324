"""The log tells of a bulk request or a worker when the database has kept it, and not before."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from bulkcert.store.store import Store
from bulkcert.values.events import Event, EventType

AT = datetime(2026, 1, 1, tzinfo=UTC)
ACCEPTED = Event(EventType.IMPORT_ACCEPTED, AT, "olga", {"import_id": "1", "total": 3})


def test_what_is_committed_is_logged_with_its_facts(store: Store) -> None:
    with capture_logs() as log, store.writing() as tx:
        tx.events.append(ACCEPTED, Event(EventType.CERTIFICATE_CREATED, AT, "olga", {"identity": "A"}))
        assert log == []

    assert log == [
        {"event": "import accepted", "log_level": "info", "actor": "olga", "import_id": "1", "total": 3}
    ]


def test_what_is_taken_back_is_not_logged(store: Store) -> None:
    with capture_logs() as log:
        with pytest.raises(ZeroDivisionError), store.writing() as tx:
            tx.events.append(ACCEPTED)
            raise ZeroDivisionError
        with store.writing() as tx, tx.dry_run():
            tx.events.append(ACCEPTED)

    assert log == []
