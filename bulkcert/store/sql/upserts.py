"""Inserts of rows of which only one may exist."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def insert_if_absent(
    connection: Connection, table: sa.Table, row: Mapping[str, object], *key: sa.Column[Any]
) -> bool:
    """Insert a row unless there is one with its key; return whether it was inserted."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(dict(row)).on_conflict_do_nothing(index_elements=list(key))
    return connection.execute(statement.returning(*key)).first() is not None
