"""Devices are listed from indexes: no list reads the rows that hold certificates and sealed keys."""

from typing import Any

import pytest
import sqlalchemy as sa

from bulkcert.policies.devices import DeviceOrder, DeviceQuery
from bulkcert.store import Store


def statements(store: Store, wanted: DeviceQuery) -> list[tuple[str, Any]]:
    """What a list asks the database."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        with store.reading() as tx:
            tx.devices.count(wanted.text)
            tx.devices.page(wanted)
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)
    return [each for each in asked if each[0].startswith("SELECT")]


@pytest.mark.parametrize("order", DeviceOrder)
@pytest.mark.parametrize("text", [None, "12bc"])
@pytest.mark.parametrize("descending", [False, True])
def test_a_list_reads_indexes_alone(
    store: Store, order: DeviceOrder, text: str | None, descending: bool
) -> None:
    if store.engine.dialect.name != "sqlite":
        pytest.skip("SQLite tells its plan without rows")
    asked = statements(store, DeviceQuery(text, 0, 10, order, descending))
    connection = store.engine.raw_connection()
    try:
        plans = [
            row[3]
            for statement, parameters in asked
            for row in connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    finally:
        connection.close()

    reads = [step for step in plans if step.startswith(("SCAN device_keys", "SEARCH", "SCAN certificates"))]
    assert len(reads) >= 3
    assert all("COVERING INDEX" in step for step in reads), plans
    by_identity = order is DeviceOrder.IDENTITY
    assert by_identity == (not any("TEMP B-TREE" in step for step in plans)), plans
