"""Marks, the fast set, and the fixtures that several folders use.

A fixture imports what it makes when it is asked for: a test of one value loads no store and no vault.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests import fast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bulkcert.store.store import Store
    from bulkcert.values.principals import Caller
    from bulkcert.vault.vault import Vault
    from tests.clock import Clock
    from tests.postgres import Cluster
    from tests.verbs import Verbs

# Time limits for one example would measure the machine.
hypothesis.settings.register_profile("bulkcert", deadline=None)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=fast.EXAMPLES)
hypothesis.settings.load_profile("bulkcert")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="run the fast set: see tests/fast.py")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the fast set: fewer examples, and a guard against what does not belong into it."""
    if config.getoption("--fast"):
        hypothesis.settings.load_profile("fast")
        config.pluginmanager.register(fast.FastSet())


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their parameter: keys and certificates differ from one run, and one xdist worker, to the next."""
    return argname if isinstance(val, bytes | bytearray) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by its folder and by the fixtures that it uses."""
    parameters = getattr(item, "callspec", None)
    values = list(parameters.params.values()) if parameters else []
    for name in sorted(fast.marks_of(item.path, list(getattr(item, "fixturenames", ())), values)):
        item.add_marker(name)


@pytest.fixture
def clock() -> Clock:
    from tests.builders import NOW
    from tests.clock import Clock

    return Clock(NOW)


@pytest.fixture
def vault() -> Vault:
    from bulkcert.values.secret import Secret
    from bulkcert.vault.master_key import MasterKey
    from bulkcert.vault.vault import Vault

    return Vault((MasterKey(Secret(b"a master key for tests, 32 bytes")),))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables of this release, to be copied."""
    from tests.stores import migrated_file

    return migrated_file(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def store(
    request: pytest.FixtureRequest, tmp_path: Path, vault: Vault, clock: Clock
) -> Iterator[Store]:  # fmt: skip
    """A store on SQLite; with TESTS_ON=postgresql in the environment, on PostgreSQL for once."""
    from tests.stores import sqlite_stores

    if os.environ.get("TESTS_ON") == "postgresql":
        yield request.getfixturevalue("postgres_store")
        return
    yield from sqlite_stores(request.getfixturevalue("migrated"), tmp_path, vault, clock)


BOTH = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL server for all tests of an xdist worker that ask for it; see tests/postgres.py."""
    from tests.postgres import own_cluster

    with own_cluster() as cluster:
        yield cluster


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database without tables, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite3'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.new_database()


@pytest.fixture(params=BOTH)
def any_store(
    request: pytest.FixtureRequest, tmp_path: Path, vault: Vault, clock: Clock
) -> Iterator[Store]:  # fmt: skip
    """A store with the tables of this release, on SQLite and on PostgreSQL."""
    from tests.stores import postgres_stores, sqlite_stores

    if request.param == "sqlite":
        yield from sqlite_stores(request.getfixturevalue("migrated"), tmp_path, vault, clock)
    else:
        yield from postgres_stores(request.getfixturevalue("postgres"), vault, clock)


@pytest.fixture
def postgres_store(postgres: Cluster, vault: Vault, clock: Clock) -> Iterator[Store]:
    """The same on PostgreSQL alone."""
    from tests.stores import postgres_stores

    yield from postgres_stores(postgres, vault, clock)


@pytest.fixture
def caller() -> Caller:
    from bulkcert.values.principals import SCOPES_OF, Caller, Role

    return Caller(1, "administrator", "0" * 32, SCOPES_OF[Role.OWNER])


@pytest.fixture
def verbs(store: Store, vault: Vault, clock: Clock, caller: Caller) -> Verbs:
    from tests.verbs import make_verbs

    return make_verbs(store, vault, clock, caller)


@pytest.fixture
def any_verbs(any_store: Store, vault: Vault, clock: Clock, caller: Caller) -> Verbs:
    """The verbs on SQLite and on PostgreSQL."""
    from tests.verbs import make_verbs

    return make_verbs(any_store, vault, clock, caller)
