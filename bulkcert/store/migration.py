"""Migration of a database to the schema of this release, and checks of its revision."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from bulkcert.errors import DatabaseDamaged, NotInitialised, SchemaNewer, SchemaOutdated
from bulkcert.store.sql.engine import BUSY_SECONDS, transaction
from bulkcert.store.sql.locks import lock
from bulkcert.store.store import Store

_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def _alembic(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(store: Store) -> None:
    """Apply every missing migration, all of them or none; several machines may do it at once.

    Raises `SchemaNewer`, and changes nothing, if a newer release has migrated the database.
    """
    with transaction(store.engine, writing=True) as connection:
        _wait_for_turn(connection)
        refuse_newer(MigrationContext.configure(connection).get_current_revision())
        command.upgrade(_alembic(connection), "head")


def _wait_for_turn(connection: Connection) -> None:
    """Wait until no other machine migrates. SQLite has one writer anyway."""
    if connection.dialect.name != "postgresql":
        return
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a large table may take its time
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    lock(connection, "migration")
    # A wait for a table in use must stay short: it blocks every later query on that table.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")


def revision(store: Store) -> str | None:
    """Return the revision of the database; None if it has no tables yet.

    Raises `DatabaseDamaged` if the file is no database or cannot be read.
    """
    try:
        with transaction(store.engine, writing=False) as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as failure:
        if getattr(failure.orig, "sqlite_errorcode", None) in _DAMAGED:
            raise DatabaseDamaged("the file is no SQLite database, or it is damaged.") from None
        raise


def check(store: Store) -> None:
    """Check that the database has the schema of this release.

    Raises `NotInitialised` without any schema, `SchemaOutdated` for an older one, `SchemaNewer` for a newer.
    """
    found = revision(store)
    if found is None:
        raise NotInitialised("The database has no tables yet.")
    refuse_newer(found)
    if found != (head := _scripts().get_current_head()):
        raise SchemaOutdated(f"schema {found} is older than that of this release ({head}).")


def refuse_newer(found: str | None) -> None:
    """Raise `SchemaNewer` for an unknown revision: only later releases add revisions."""
    scripts = _scripts()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise SchemaNewer(
            f"schema {found} is newer than this release, whose own is {scripts.get_current_head()}."
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())
