"""Lists of values in one parameter: what goes in comes out, on both databases."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bulkcert.store.sql import lists
from bulkcert.store.store import Store
from bulkcert.store.tables.access import login_throttles
from bulkcert.store.tables.imports import bulk_requests
from bulkcert.store.tables.schema import sequences
from tests.builders import NOW

TEXTS = [
    "",
    "a",
    "A",
    "a",
    "0123",
    "1e5",
    "null",
    "true",
    "[1]",
    '{"a": 1}',
    "'",
    '"',
    "\\",
    "\\u0000",
    "é",
    "😀",
    "\n",
    "x" * 100_000,
]


@pytest.mark.parametrize("values", [[], ["one"], TEXTS, [f"SERIAL{number}" for number in range(70_000)]])
def test_texts_come_out_as_they_went_in(any_store: Store, values: list[str]) -> None:
    with any_store.engine.connect() as connection:
        assert connection.execute(lists.texts(connection, values)).scalars().all() == values


def test_a_text_without_an_end_on_one_database_is_cleaned_on_both(any_store: Store) -> None:
    with any_store.engine.connect() as connection:
        found = connection.execute(lists.texts(connection, ["a\x00b", "\\u0000", "\x00"])).scalars().all()
    assert found == ["a\ufffdb", "\\u0000", "\ufffd"]


@pytest.mark.parametrize("values", [[], [0], [3, 1, 2**63 - 1, -5]])
def test_numbers_come_out_as_they_went_in(any_store: Store, values: list[int]) -> None:
    with any_store.engine.connect() as connection:
        assert connection.execute(lists.numbers(connection, values)).scalars().all() == values


def test_rows_are_inserted_with_what_is_alike_in_them(any_store: Store) -> None:
    rows = [{"id": f"{text[:60]}{number}", "failures": number} for number, text in enumerate(TEXTS)]
    with any_store.engine.begin() as connection:
        lists.insert(connection, login_throttles, rows, last_failed_at=NOW)
        lists.insert(connection, login_throttles, [], last_failed_at=NOW)
        found = connection.execute(sa.select(login_throttles)).all()

    assert {(row.id, row.failures, row.last_failed_at) for row in found} == {
        (row["id"], row["failures"], NOW) for row in rows
    }


def test_a_value_may_be_missing(any_store: Store) -> None:
    with any_store.engine.begin() as connection:
        told = {"id": "x", "kind": "import", "state": "running", "requested_by": "me", "bundle_digest": None}
        counts = {column.name: 0 for column in bulk_requests.c if isinstance(column.type, sa.Integer)}
        flags = {column.name: False for column in bulk_requests.c if isinstance(column.type, sa.Boolean)}
        lists.insert(connection, bulk_requests, [told], created_at=NOW, **counts, **flags)
        row = connection.execute(sa.select(bulk_requests)).one()
    assert (row.bundle_digest, row.requested_by, row.total) == (None, "me", 0)


def test_a_number_may_be_longer_than_32_bits(any_store: Store) -> None:
    row = {"name": "certificates", "next": 2**40}
    with any_store.engine.begin() as connection:
        connection.execute(sa.delete(sequences))
        lists.insert(connection, sequences, [row])
        assert connection.execute(sa.select(sequences.c.next)).scalar_one() == 2**40

        lists.update(connection, sequences, "name", [row | {"next": 2**50}])
        assert connection.execute(sa.select(sequences.c.next)).scalar_one() == 2**50


def test_rows_are_updated_by_their_key_where_what_is_alike_fits(any_store: Store) -> None:
    rows = [{"id": name, "failures": number} for number, name in enumerate("abc")]
    later = NOW + timedelta(1)
    with any_store.engine.begin() as connection:
        lists.insert(connection, login_throttles, rows[:2], last_failed_at=NOW)
        lists.insert(connection, login_throttles, rows[2:], last_failed_at=later)
        new = [{"id": name, "failures": 10 + number} for number, name in enumerate("acd")]
        lists.update(connection, login_throttles, "id", new, last_failed_at=NOW)
        lists.update(connection, login_throttles, "id", [], last_failed_at=NOW)
        found = {row.id: row.failures for row in connection.execute(sa.select(login_throttles))}

    assert found == {"a": 10, "b": 1, "c": 2}
