"""Fixtures that are wiring only: a clock, a vault, a store, and the verbs on top of them."""

import dataclasses
import io
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis
import pytest

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.imports.chunk_work import Keeper
from bulkcert.imports.intake import Importer
from bulkcert.integrity.demand import VaultSigner
from bulkcert.inventory.certificates import Inventory
from bulkcert.store import migration
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_requests import BulkRequest, ImportOrder, Item, OnConflict
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.identities import IdentityType
from bulkcert.values.limits import Limits
from bulkcert.values.principals import SCOPES_OF, Caller, Role
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import MasterKey
from bulkcert.vault.vault import Vault
from tests.builders import NOW
from tests.postgres import Cluster, own_cluster

# Time limits for one example would measure the machine.
hypothesis.settings.register_profile("bulkcert", deadline=None)
hypothesis.settings.load_profile("bulkcert")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their parameter: keys and certificates differ from one run, and one xdist worker, to the next."""
    return argname if isinstance(val, bytes | bytearray) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the PostgreSQL server of the fixtures."""
    for item in items:
        parameters = getattr(item, "callspec", None)
        names = [*getattr(item, "fixturenames", ()), *(parameters.params.values() if parameters else ())]
        if any(isinstance(name, str) and name in {"postgres", "postgresql"} for name in names):
            item.add_marker(pytest.mark.postgresql)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)


class InProcessOpener:
    """Opens in this process: the same code as in the limited child, without the child."""

    def cpu_seconds(self) -> float:
        return 0.0

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[OpenedCertificate | ItemRefusal]:
        for data, password in files:
            try:
                yield pkcs12.open(data, password)
            except ItemRefusal as refusal:
                yield refusal


@dataclasses.dataclass(frozen=True)
class Verbs:
    """The verbs on one store, for tests of what they do together."""

    store: Store
    vault: Vault
    clock: Clock
    importer: Importer
    inventory: Inventory
    keeper: Keeper
    caller: Caller

    def accept(
        self,
        bundle: bytes,
        identity_type: IdentityType = IdentityType.SERIAL_NUMBER,
        on_conflict: OnConflict = OnConflict.REPLACE,
        validate_only: bool = False,
    ) -> BulkRequest:
        order = ImportOrder(identity_type, None, on_conflict, validate_only)
        return self.importer.accept(io.BytesIO(bundle), order, self.caller)

    def work(self) -> None:
        while self.keeper.work_once():
            pass

    def import_bundle(
        self,
        bundle: bytes,
        identity_type: IdentityType = IdentityType.SERIAL_NUMBER,
        on_conflict: OnConflict = OnConflict.REPLACE,
        validate_only: bool = False,
    ) -> BulkRequest:
        request = self.accept(bundle, identity_type, on_conflict, validate_only)
        self.work()
        return self.importer.wait(request.id, 0)

    def items(self, request: BulkRequest) -> list[Item]:
        with self.store.reading() as tx:
            return list(tx.items.page(request.id, None, 1000, None).items)

    def codes(self, request: BulkRequest) -> dict[str | None, str | None]:
        """The code (or outcome) of each item, by identity."""
        return {
            item.identity: item.result and (item.result.code or item.result.outcome)
            for item in self.items(request)
        }


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def vault() -> Vault:
    return Vault((MasterKey(Secret(b"a master key for tests, 32 bytes")),))


@pytest.fixture
def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vault: Vault,
    clock: Clock,
) -> Iterator[Store]:
    """A store on SQLite; with TESTS_ON=postgresql in the environment, on PostgreSQL for once."""
    if os.environ.get("TESTS_ON") == "postgresql":
        monkeypatch.setattr(Transaction, "time", lambda _, fallback: fallback())
        yield request.getfixturevalue("postgres_store")
        return
    yield from sqlite_stores(tmp_path, vault, clock)


def sqlite_stores(tmp_path: Path, vault: Vault, clock: Clock) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite3'}", signer=VaultSigner(vault), now=clock)
    migration.upgrade(store)
    yield store
    store.close()


BOTH = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL server for all tests of an xdist worker that ask for it; see tests/postgres.py."""
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
    if request.param == "sqlite":
        yield from sqlite_stores(tmp_path, vault, clock)
    else:
        yield from postgres_stores(request.getfixturevalue("postgres"), vault, clock)


@pytest.fixture
def postgres_store(postgres: Cluster, vault: Vault, clock: Clock) -> Iterator[Store]:
    """The same on PostgreSQL alone."""
    yield from postgres_stores(postgres, vault, clock)


def postgres_stores(cluster: Cluster, vault: Vault, clock: Clock) -> Iterator[Store]:
    url = cluster.lend_database()
    store = Store(url, signer=VaultSigner(vault), now=clock)
    yield store
    store.close()
    cluster.take_back(url)


@pytest.fixture
def caller() -> Caller:
    return Caller(1, "administrator", "0" * 32, SCOPES_OF[Role.OWNER])


@pytest.fixture
def verbs(store: Store, vault: Vault, clock: Clock, caller: Caller) -> Verbs:
    return make_verbs(store, vault, clock, caller)


@pytest.fixture
def any_verbs(
    any_store: Store, vault: Vault, clock: Clock, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> Verbs:
    """The verbs on SQLite and on PostgreSQL, whose own clock stands still too."""
    monkeypatch.setattr(Transaction, "time", lambda _, fallback: fallback())
    return make_verbs(any_store, vault, clock, caller)


def make_verbs(store: Store, vault: Vault, clock: Clock, caller: Caller) -> Verbs:
    limits = Limits()
    return Verbs(
        store=store,
        vault=vault,
        clock=clock,
        importer=Importer(store, vault, limits, clock),
        inventory=Inventory(store, vault, limits, clock),
        keeper=Keeper(store, vault, InProcessOpener(), clock, timedelta(seconds=60)),
        caller=caller,
    )
