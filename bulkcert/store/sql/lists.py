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
    columns = _columns(connection, table, names, rows)
    alike = [sa.literal(given, table.c[name].type) for name, given in same.items()]
    connection.execute(
        sa.insert(table).from_select([*names, *same], sa.select(*columns, *alike), include_defaults=False)
    )


def update(
    connection: Connection, table: sa.Table, key: str, rows: Sequence[Mapping[str, Plain]], **same: object
) -> None:
    """Update rows, each found by its key: to the other columns of the first row, which all of them have.

    same: columns that must be alike in all of them.
    """
    if not rows:
        return
    found = [table.c[name] == value for name, value in same.items()]
    names = list(rows[0])
    if connection.dialect.name == "sqlite":
        # It would look through the whole list for each row; row by row, in the same process, it is quick.
        named: dict[str, sa.ColumnElement[Any]] = {name: sa.bindparam(f"new_{name}") for name in names}
        statement = sa.update(table).where(table.c[key] == named.pop(key), *found).values(named)
        connection.execute(statement, [{f"new_{name}": row[name] for name in names} for row in rows])
        return
    columns = _columns(connection, table, names, rows)
    new = sa.select(*(column.label(name) for column, name in zip(columns, names, strict=True))).subquery()
    connection.execute(
        sa.update(table)
        .where(table.c[key] == new.c[key], *found)
        .values({name: new.c[name] for name in names if name != key})
    )


def _columns(
    connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Mapping[str, Plain]]
) -> list[sa.ColumnElement[Any]]:
    packed = [[row[name] for name in names] for row in rows]
    value = _unpack(connection, packed, sa.JSON(), "json_array_elements")
    return [_element(value, at, table.c[name]) for at, name in enumerate(names)]


def _element(value: sa.ColumnElement[Any], at: int, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    element: sa.ColumnElement[Any] = value[at].as_string()
    # As a number of the column's size: `as_integer` would cut what is longer than 32 bits.
    return sa.cast(element, column.type) if isinstance(column.type, sa.Integer) else element


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
