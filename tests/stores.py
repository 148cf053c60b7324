"""Stores for tests, on SQLite and on PostgreSQL. The fixtures of `tests/conftest.py` lend them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from bulkcert.integrity.demand import VaultSigner
from bulkcert.store import migration
from bulkcert.store.store import Store
from bulkcert.vault.vault import Vault
from tests.clock import Clock
from tests.postgres import Cluster


def migrated_file(directory: Path) -> Path:
    """Make a SQLite file with the tables of this release: the migrations run once, and stores begin with a copy."""
    path = directory / "migrated.sqlite3"
    store = Store(f"sqlite:///{path}")
    migration.upgrade(store)
    store.close()
    return path


def sqlite_stores(migrated: Path, tmp_path: Path, vault: Vault, clock: Clock) -> Iterator[Store]:
    """Yield a store on a copy of a migrated SQLite file, and close it."""
    path = tmp_path / "store.sqlite3"
    shutil.copyfile(migrated, path)
    store = Store(f"sqlite:///{path}", signer=VaultSigner(vault), now=clock)
    yield store
    store.close()


def postgres_stores(cluster: Cluster, vault: Vault, clock: Clock) -> Iterator[Store]:
    """Yield a store on a lent database of a cluster, and give the database back."""
    url = cluster.lend_database()
    store = Store(url, signer=VaultSigner(vault), now=clock)
    yield store
    store.close()
    cluster.take_back(url)
