"""Bring a database to the schema of this release, and tell whether it has it."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from bulkcert.errors import NotInitialised, SchemaOutdated
from bulkcert.store import Store
from bulkcert.store.engine import BUSY_SECONDS, transaction
from bulkcert.store.locks import lock


def _alembic(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(store: Store) -> None:
    """Apply every migration that is missing, all of them or none; several machines may do it at once."""
    with transaction(store.engine, writing=True) as connection:
        _wait_for_turn(connection)
        command.upgrade(_alembic(connection), "head")


def _wait_for_turn(connection: Connection) -> None:
    """Let one machine migrate; the others find it done. SQLite has one writer anyway."""
    if connection.dialect.name != "postgresql":
        return
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a large table may take its time
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    lock(connection, "migration")
    # A table that a running service holds is another matter: whoever waits for it stops all who come after.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")


def revision(store: Store) -> str | None:
    """Tell the revision that the database has; None where it has no schema yet."""
    with transaction(store.engine, writing=False) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check(store: Store) -> None:
    """Refuse a database without schema (`NotInitialised`) or with another release's (`SchemaOutdated`)."""
    found = revision(store)
    if found is None:
        raise NotInitialised("The database has no tables yet.")
    if found != ScriptDirectory.from_config(_alembic()).get_current_head():
        raise SchemaOutdated("The database's schema is that of another release.")
