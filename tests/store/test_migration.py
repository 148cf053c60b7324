"""Migrations lead to exactly the tables that the code knows, on both databases."""

import re
import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from bulkcert.errors import NotInitialised, SchemaOutdated
from bulkcert.store import Store, migration
from bulkcert.store.schema import metadata


def test_the_migrations_make_the_tables_of_the_schema(any_store: Store) -> None:
    with any_store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing(any_store: Store) -> None:
    before = migration.revision(any_store)
    migration.upgrade(any_store)

    assert migration.revision(any_store) == before
    migration.check(any_store)


def test_machines_that_migrate_at_the_same_time_take_turns(database_url: str) -> None:
    stores = [Store(database_url) for _ in range(4)]
    failures: list[BaseException] = []

    def upgrade(store: Store) -> None:
        try:
            migration.upgrade(store)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=upgrade, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    migration.check(stores[0])
    for store in stores:
        store.close()


def test_a_database_without_tables_asks_for_init(database_url: str) -> None:
    store = Store(database_url)

    with pytest.raises(NotInitialised):
        migration.check(store)
    store.close()


def test_a_database_of_another_release_is_not_used(any_store: Store) -> None:
    with any_store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaOutdated):
        migration.check(any_store)


def test_what_may_stand_there_once_is_held_by_both_databases(any_store: Store) -> None:
    with any_store.engine.connect() as connection:
        found = {
            index["name"]: index["dialect_options"][f"{connection.dialect.name}_where"]
            for index in sa.inspect(connection).get_indexes("certificates")
            if index["unique"]
        }

    # PostgreSQL gives conditions back with casts and brackets.
    conditions = {name: re.sub(r"::text|[()]", "", str(where)) for name, where in found.items()}
    assert conditions == {
        "uq_certificates_current": "kind = 'device' AND state = 'current'",
        "uq_certificates_chain": "kind = 'chain'",
    }
