"""An installation: the data directory, the database and the master key that belong together.

Each refusal names the path that was looked at, and says whether BULKCERT_DATA_DIR was set: without it, a
command that is run in another directory looks for another installation.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkcert.config import DEFAULT_DATA_DIR, Config
from bulkcert.errors import (
    BadSettings,
    BrokenSeal,
    DatabaseDamaged,
    DatabaseMissing,
    MasterKeyMissing,
    NoAccess,
    NotInitialised,
    SchemaNewer,
    SchemaOutdated,
    SpoolMissing,
    StartRefusal,
    Unavailable,
    WrongMasterKey,
    reason_of,
)
from bulkcert.integrity.demand import CHECK, VaultSigner
from bulkcert.store import migration
from bulkcert.store.clock import Clock
from bulkcert.store.sql.engine import PoolLimits
from bulkcert.store.store import Store
from bulkcert.vault.master_key import read_key_file
from bulkcert.vault.places import CHECK_PLACE
from bulkcert.vault.vault import Vault

_OF_THE_DATABASE = (DatabaseDamaged, SchemaNewer, SchemaOutdated)
"""Raised by the store, which does not know how settings name the database."""


def open_installation(config: Config, now: Clock | None = None) -> tuple[Store, Vault]:
    """Open the database and the vault of an installation; writes nothing. now: as in `Store`.

    Raises a `StartRefusal` where something is missing, cannot be read, or does not belong together.
    """
    with naming_data_dir(config):
        return _open(config, now)


def _open(config: Config, now: Clock | None) -> tuple[Store, Vault]:
    store = _open_store(config, now)
    try:
        migration.check(store)
        _check_complete(config, store)
        vault = open_vault(config, store)
        return store.signed_by(VaultSigner(vault)), vault
    except BaseException:
        store.close()
        raise


def _open_store(config: Config, now: Clock | None = None) -> Store:
    """Return the store of a database that has tables, of whatever release."""
    if not has_database(config):
        raise _no_database(config, "There is no database")
    store = make_store(config, now)
    try:
        is_empty = migration.revision(store) is None
    except BaseException:
        store.close()
        raise
    if is_empty:
        store.close()
        raise _no_database(config, "There are no tables in the database")
    return store


def _no_database(config: Config, detail: str) -> StartRefusal:
    """Return why nothing can be opened: an `init` beside a master key is rarely what is wanted."""
    key_file = master_key_file(config)
    if is_there(key_file):
        return DatabaseMissing(
            f"{detail} at {config.database_name}, but there is a master key at {key_file}."
        )
    return NotInitialised(f"{detail} at {config.database_name}, and no master key at {key_file}.")


def _check_complete(config: Config, store: Store) -> None:
    if not is_initialised(store):
        raise NotInitialised(
            f"`bulkcert init` was interrupted before the database at {config.database_name} was complete:"
            " run it again."
        )


def open_vault(config: Config, store: Store) -> Vault:
    """Return the vault of an initialised database; refuses a master key that it was not sealed with.

    Raises `MasterKeyMissing`, `MasterKeyExposed`, `NoAccess` or `WrongMasterKey` (promise P11).
    """
    key_file = master_key_file(config)
    if not is_there(key_file):
        raise MasterKeyMissing(
            f"There is no master key at {key_file}, but the database at {config.database_name} was sealed"
            " with one."
        )
    vault = Vault(read_key_file(key_file, may_be_shared=config.master_key_shared))
    with store.reading() as tx:
        sealed = tx.keys.check(CHECK)
    try:
        vault.open(sealed or b"", CHECK_PLACE)
    except BrokenSeal:
        raise WrongMasterKey(
            f"The master key {key_file} is not the one that the database at {config.database_name}"
            " was sealed with."
        ) from None
    return vault


def is_initialised(store: Store) -> bool:
    """Return whether `init` has completed a database."""
    if migration.revision(store) is None:
        return False
    with store.reading() as tx:
        return tx.keys.check(CHECK) is not None


def make_folders(config: Config) -> None:
    """Make the data directory and its spool folder, for their owner alone, where they are missing."""
    for folder in (config.data_dir, config.spool_dir):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as failure:
            raise NoAccess(f"The folder {folder} cannot be made: {reason_of(failure)}.") from None


def check_spool(config: Config) -> None:
    """Refuse a spool folder that is missing (`SpoolMissing`) or cannot be written (`NoAccess`)."""
    with naming_data_dir(config):
        if not is_there(config.spool_dir):
            raise SpoolMissing(
                f"There is no folder {config.spool_dir}, where uploads lie while they are read."
            )
        probe = config.spool_dir / f"check-{os.getpid()}"
        try:
            probe.touch(mode=0o600, exist_ok=False)
            probe.unlink()
        except OSError as failure:
            raise NoAccess(f"{config.spool_dir} cannot be written: {reason_of(failure)}.") from None


def upgrade_database(config: Config) -> tuple[str | None, str | None]:
    """Bring the database to this release's schema; returns the revision before and after."""
    with naming_data_dir(config):
        store = _open_store(config)
        try:
            before = migration.revision(store)
            migration.upgrade(store)
            return before, migration.revision(store)
        finally:
            store.close()


def make_store(config: Config, now: Clock | None = None) -> Store:
    """Return the store of an installation; nothing is connected yet. now: as in `Store`."""
    limits = PoolLimits(
        config.database_pool_size, config.database_pool_overflow, config.database_timeout_seconds
    )
    return Store(config.database_url, limits, now=now)


def has_database(config: Config) -> bool:
    """Tell whether SQLite's file is there: connecting would make an empty one. PostgreSQL says it by itself.

    Raises `NoAccess` where it is there and cannot be read or written.
    """
    file = config.database_file
    if file is None:
        return True
    if not is_there(file):
        return False
    if not os.access(file, os.R_OK | os.W_OK):
        raise NoAccess(f"The database {file} cannot be read and written: permission denied.")
    if not os.access(file.parent, os.W_OK | os.X_OK):  # SQLite makes its log beside the file
        raise NoAccess(f"The folder of the database, {file.parent}, cannot be written: permission denied.")
    return True


def master_key_file(config: Config) -> Path:
    """Return the path of the master key."""
    return config.master_key_file or config.data_dir / "master.key"


def is_there(path: Path) -> bool:
    """Return whether a path exists; raises `NoAccess` where that cannot be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as failure:
        raise NoAccess(f"{path} cannot be looked at: {reason_of(failure)}.") from None
    return True


@contextmanager
def naming_data_dir(config: Config) -> Iterator[None]:
    """Append to a refusal which data directory is used, and why that one."""
    try:
        yield
    except BadSettings:
        raise
    except Unavailable as refusal:
        raise type(refusal)(f"{config.database_name}: {refusal.detail}") from None
    except StartRefusal as refusal:
        where = f"{config.database_name}: " if isinstance(refusal, _OF_THE_DATABASE) else ""
        raise type(refusal)(f"{where}{refusal.detail} {_origin(config)}", refusal.faults) from None


def _origin(config: Config) -> str:
    if "BULKCERT_DATA_DIR" in config.variables:
        return f"BULKCERT_DATA_DIR is set to {config.data_dir}."
    return (
        f"BULKCERT_DATA_DIR is not set, so the data directory is {DEFAULT_DATA_DIR} in the current directory"
        f" ({config.data_dir.parent})."
    )
