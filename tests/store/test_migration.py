"""Migrations lead to exactly the tables that the code knows."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from bulkcert.errors import NotInitialised, SchemaOutdated
from bulkcert.store import Store, migration
from bulkcert.store.schema import metadata


def test_the_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing(store: Store) -> None:
    before = migration.revision(store)
    migration.upgrade(store)

    assert migration.revision(store) == before
    migration.check(store)


def test_a_database_without_tables_asks_for_init(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'empty.sqlite3'}")

    with pytest.raises(NotInitialised):
        migration.check(store)
    store.close()


def test_a_database_of_another_release_is_not_used(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaOutdated):
        migration.check(store)


def test_nothing_in_the_schema_belongs_to_one_engine() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = postgresql.dialect()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    indexes = [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in metadata.sorted_tables
        for index in table.indexes
    ]

    assert len(statements) == len(metadata.tables)
    assert "WHERE kind = 'device' AND state = 'current'" in " ".join(indexes)
