"""How SQLite answers what a part of the store asks."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction


def plan_of(store: Store, ask: Callable[[Transaction], object]) -> list[str]:
    """Give the steps of the plans of all that is asked."""
    if store.engine.dialect.name != "sqlite":
        pytest.skip("SQLite tells its plan without rows")
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        with store.reading() as tx:
            ask(tx)
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)
    with store.engine.connect() as connection:
        return [
            row.detail
            for statement, parameters in asked
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
