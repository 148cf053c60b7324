"""Bring a database to the schema of this release, and tell whether it has it."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from bulkcert.errors import NotInitialised, SchemaOutdated
from bulkcert.store import Store
from bulkcert.store.engine import transaction


def _alembic(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(store: Store) -> None:
    """Apply every migration that is missing, all of them or none."""
    with transaction(store.engine, writing=True) as connection:
        command.upgrade(_alembic(connection), "head")


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
