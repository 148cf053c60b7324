"""Migrations lead to exactly the tables that the code knows, on both databases."""

import re
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from bulkcert.errors import DatabaseDamaged, LoginsCollide, NotInitialised, SchemaNewer, SchemaOutdated
from bulkcert.store import migration
from bulkcert.store.store import Store
from bulkcert.store.tables.schema import metadata
from bulkcert.values.principals import PrincipalKind


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


_NEW_USER = (
    "INSERT INTO principals (kind, login, name, is_disabled, tokens_valid_from, created_at)"
    " VALUES ('user', :login, :login, :is_disabled, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
)


def insert_users(store: Store, **disabled: bool) -> None:
    """Take a database back to where logins had no keys, and insert users: their logins, and whether disabled."""
    with store.engine.begin() as connection:
        config = migration._alembic(connection)
        command.downgrade(config, "0008")
        for login, is_disabled in disabled.items():
            connection.execute(sa.text(_NEW_USER), {"login": login, "is_disabled": is_disabled})


def test_logins_that_became_one_stop_the_upgrade_by_name_and_nothing_is_changed(any_store: Store) -> None:
    insert_users(any_store, olga=False, Olga=False, peter=False)

    with pytest.raises(LoginsCollide, match=r"count as one from now on: olga and Olga\.$"):
        migration.upgrade(any_store)
    assert migration.revision(any_store) == "0008"
    with any_store.engine.connect() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("principals")}
    assert "login_key" not in columns

    with any_store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE principals SET is_disabled = true WHERE login = 'Olga'")
    migration.upgrade(any_store)
    migration.check(any_store)


def test_of_spellings_of_a_login_the_one_that_is_not_disabled_is_found(any_store: Store) -> None:
    insert_users(any_store, OLGA=True, olga=False, Olga=True, Peter=True, peter=True)
    migration.upgrade(any_store)

    with any_store.reading() as tx:
        assert tx.principals.find(PrincipalKind.USER, "OLGA", takes_forged=True).login == "olga"
        assert tx.principals.find_login("peter") == "Peter"
        assert len(tx.principals.page(PrincipalKind.USER, 10, None).items) == 5


def test_a_database_without_tables_asks_for_init(database_url: str) -> None:
    store = Store(database_url)

    with pytest.raises(NotInitialised):
        migration.check(store)
    store.close()


def test_a_database_of_a_newer_release_is_not_used(any_store: Store) -> None:
    with any_store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaNewer, match="schema 9999 is newer than this release"):
        migration.check(any_store)
    with pytest.raises(SchemaNewer):
        migration.upgrade(any_store)


def test_a_database_of_an_older_release_asks_for_an_upgrade(any_store: Store) -> None:
    with any_store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")

    with pytest.raises(SchemaOutdated, match="schema 0001 is older"):
        migration.check(any_store)


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"SQLite format 3\x00" + b"\xff" * 2000])
def test_a_file_that_is_no_database_is_told_from_a_fault_of_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.sqlite3").write_bytes(content)
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite3'}")

    with pytest.raises(DatabaseDamaged):
        migration.check(store)
    store.close()


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
