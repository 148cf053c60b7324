"""Long lists of values as one bound parameter: JSON that the database unpacks.

A statement with a list in it stands for all of it at once, whatever its length: nothing is cut into portions,
rows can be held in one order, and many rows cost little more than their bytes.
SQLite: https://www.sqlite.org/json1.html#jeach; PostgreSQL:
https://www.postgresql.org/docs/current/functions-json.html.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

Plain = str | int | None
"""What JSON and a column of either engine hold alike."""


def texts(connection: Connection, values: Sequence[str]) -> sa.Select[tuple[str]]:
    """Select the values of a list of texts, in their order."""
    return sa.select(_unpack(connection, values, sa.Text(), "json_array_elements_text"))


def numbers(connection: Connection, values: Sequence[int]) -> sa.Select[tuple[int]]:
    """Select the values of a list of whole numbers."""
    value = _unpack(connection, values, sa.Text(), "json_array_elements_text")
    return sa.select(sa.cast(value, sa.BigInteger))


def insert(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Plain]], **same: object
) -> None:
    """Insert rows that all have the columns of the first one. same: columns that are alike in all of them."""
    if not rows:
        return
    names = list(rows[0])
    packed = [[row[name] for name in names] for row in rows]
    value = _unpack(connection, packed, sa.JSON(), "json_array_elements")
    columns = [_element(value, at, table.c[name]) for at, name in enumerate(names)]
    alike = [sa.literal(given, table.c[name].type) for name, given in same.items()]
    connection.execute(
        sa.insert(table).from_select([*names, *same], sa.select(*columns, *alike), include_defaults=False)
    )


def _element(value: sa.ColumnElement[Any], at: int, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    element = value[at]
    cast: sa.ColumnElement[Any] = (
        element.as_integer() if isinstance(column.type, sa.Integer) else element.as_string()
    )
    return cast


def _unpack(
    connection: Connection, values: Sequence[object], type_: "sa.types.TypeEngine[Any]", function: str
) -> sa.ColumnElement[Any]:
    written: sa.ColumnElement[Any] = sa.literal(_write(values), sa.Text)
    if connection.dialect.name == "postgresql":
        written = sa.cast(written, sa.JSON)
    else:
        function = "json_each"
    value: sa.ColumnElement[Any] = (
        getattr(sa.func, function)(written).table_valued(sa.column("value", type_)).c.value
    )
    return value


def _write(values: object) -> str:
    written = json.dumps(values, ensure_ascii=False)
    # U+0000 ends a text in SQLite's JSON, and is refused in PostgreSQL's: hostile names hold it.
    return json.dumps(_without_nul(values), ensure_ascii=False) if "\\u0000" in written else written


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    return [_without_nul(inner) for inner in value] if isinstance(value, list | tuple) else value
