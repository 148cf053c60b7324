"""Long lists of values as one bound parameter: JSON, which the database unpacks.

One statement serves a list of any length: no portions are needed, rows can be locked in one order, and many
rows cost little more than their bytes.
SQLite: https://www.sqlite.org/json1.html#jeach; PostgreSQL:
https://www.postgresql.org/docs/current/functions-json.html.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

Plain = str | int | None
"""Values that JSON and the columns of both engines have in common."""


def texts(connection: Connection, values: Sequence[str]) -> sa.Select[tuple[str]]:
    """Return a query of the values of a list of texts, in their order."""
    return sa.select(_unpack(connection, values, sa.Text(), "json_array_elements_text"))


def numbers(connection: Connection, values: Sequence[int]) -> sa.Select[tuple[int]]:
    """Return a query of the values of a list of integers."""
    value = _unpack(connection, values, sa.Text(), "json_array_elements_text")
    return sa.select(sa.cast(value, sa.BigInteger))


def insert(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Plain]], **same: object
) -> None:
    """Insert rows with the columns of the first one. same: columns with one value for all of them."""
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
    """Update rows, each found by its key. Every row has the columns of the first one.

    same: further conditions, columns with one value for all rows.
    """
    if not rows:
        return
    found = [table.c[name] == value for name, value in same.items()]
    names = list(rows[0])
    if connection.dialect.name == "sqlite":
        # SQLite would search the whole list for each row; single updates in the same process are quick.
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
    # Cast to the type of the column: `as_integer` would truncate numbers of more than 32 bits.
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
    # U+0000, which hostile names contain, ends a text in SQLite's JSON and is refused in PostgreSQL's.
    return json.dumps(_without_nul(values), ensure_ascii=False) if "\\u0000" in written else written


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    return [_without_nul(inner) for inner in value] if isinstance(value, list | tuple) else value
