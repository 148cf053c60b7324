"""The app on the real wiring: a database of its own for each test, and its work done inline.

It is SQLite; with TESTS_ON=postgresql in the environment, PostgreSQL for once.
"""

import contextlib
import dataclasses
import functools
import itertools
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from bulkcert.api import tokens
from bulkcert.api.app import create_app
from bulkcert.config import Config
from bulkcert.imports.chunk_work import ChunkWorker
from bulkcert.store import migration
from bulkcert.store.clock import Clock
from bulkcert.values.principals import PrincipalKind, Scope, Session
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import read_key_file
from bulkcert.vault.vault import Vault
from bulkcert.wiring.initialisation import initialise
from bulkcert.wiring.service import Service, connect
from tests.api.contract import ContractClient
from tests.passwords import CheapPasswords
from tests.postgres import Cluster
from tests.verbs import InProcessOpener

PASSWORD = "correct horse battery"
INITIALISED_AT = datetime(2020, 1, 1, tzinfo=UTC)
"""Before the clock of every service under test: tokens from before an account's `tokens_valid_from` are refused."""


@dataclasses.dataclass(frozen=True)
class ApiCaller:
    """A client that shows a token."""

    client: Client
    token: str

    def open(
        self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any
    ) -> TestResponse:
        shown = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        return self.client.open(path, method=method, headers=shown, **rest)

    def get(self, path: str, **rest: Any) -> TestResponse:
        return self.open("GET", path, **rest)

    def post(self, path: str, **rest: Any) -> TestResponse:
        return self.open("POST", path, **rest)


@pytest.fixture(scope="session")
def postgres_or_not(request: pytest.FixtureRequest) -> Cluster | None:
    on_postgres = os.environ.get("TESTS_ON") == "postgresql"
    return request.getfixturevalue("postgres") if on_postgres else None


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory, postgres_or_not: Cluster | None) -> Path:
    """A data directory as `init` makes it, to be copied; on PostgreSQL, a database "initialised" as well."""
    directory = tmp_path_factory.mktemp("initialised")
    settings: dict[str, Any] = {}
    if postgres_or_not is not None:
        postgres_or_not.execute("CREATE DATABASE initialised")
        settings["database_url"] = postgres_or_not.url("initialised")
    with mock.patch("bulkcert.wiring.initialisation.Passwords", CheapPasswords):
        initialise(a_config(directory, **settings), Secret(PASSWORD.encode()), lambda: INITIALISED_AT)
    return directory


def a_config(data_dir: Path, **settings: Any) -> Config:
    config = Config.from_environment({"BULKCERT_DATA_DIR": str(data_dir)})
    return dataclasses.replace(config, **{"default_wait_seconds": 0} | settings)


NewService = Callable[..., Service]
migration_scripts = functools.cache(migration._scripts)
"""The migrations, read once: the check of a start reads them again and again."""


@pytest.fixture(scope="session")
def open_services(postgres_or_not: Cluster | None) -> Iterator[list[contextlib.ExitStack]]:
    """What ends each service that is open, in the order in which they were made; the server ends after them."""
    services: list[contextlib.ExitStack] = []
    yield services
    end_all(services)


@pytest.fixture(autouse=True)
def end_services(open_services: list[contextlib.ExitStack]) -> Iterator[None]:
    """Ends what a test has made for itself; what a module or all share is there before and stays."""
    shared = len(open_services)
    yield
    end_all(open_services[shared:])
    del open_services[shared:]


def end_all(services: list[contextlib.ExitStack]) -> None:
    for service in reversed(services):
        service.close()


@pytest.fixture(scope="session")
def new_service(
    initialised: Path,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_or_not: Cluster | None,
    open_services: list[contextlib.ExitStack],
) -> NewService:
    """Make a service on a database of its own, with its clock (`now`) and settings by name.

    It waits for no import unless told to.
    """
    numbers = itertools.count()

    def new_database(cluster: Cluster, end: contextlib.ExitStack) -> dict[str, str]:
        url = cluster.url(f"api_{next(numbers)}")
        cluster.execute(f"CREATE DATABASE {url.rpartition('/')[2]} TEMPLATE initialised STRATEGY wal_log")
        end.callback(cluster.drop_database, url)
        return {"database_url": url}

    def make(now: Clock | None = None, **settings: Any) -> Service:
        directory = tmp_path_factory.mktemp("api") / "data"
        shutil.copytree(initialised, directory)
        end = contextlib.ExitStack()
        open_services.append(end)
        if postgres_or_not is not None:
            settings = new_database(postgres_or_not, end) | settings
        with (
            mock.patch("bulkcert.wiring.service.Passwords", CheapPasswords),
            mock.patch("bulkcert.store.migration._scripts", migration_scripts),
        ):
            service = connect(a_config(directory, **settings), now)
        end.callback(service.close)
        return service

    return make


@pytest.fixture
def service(new_service: NewService) -> Service:
    return new_service()


@pytest.fixture
def app(service: Service) -> Flask:
    return an_app(service)


def an_app(service: Service) -> Flask:
    app = create_app(service)
    app.test_client_class = ContractClient  # type: ignore[assignment]
    return app


@pytest.fixture
def client(app: Flask) -> Client:
    return a_client(app)


def a_client(app: Flask) -> Client:
    return ContractClient(app, app.response_class)


@pytest.fixture
def caller(app: Flask, client: Client, service: Service) -> ApiCaller:  # type: ignore[override]
    """The administrator, logged in."""
    return ApiCaller(client, a_token(app, service))


@pytest.fixture(scope="session")
def refused(new_service: NewService) -> ApiCaller:
    """The administrator, on a service of which every test expects that it keeps nothing."""
    service = new_service()
    app = an_app(service)
    return ApiCaller(a_client(app), a_token(app, service))


def a_session(service: Service, scopes: Iterable[Scope] = tuple(Scope)) -> Session:
    """A session of the administrator as `log_in` keeps it, without the cost of a password."""
    with service.store.reading() as tx:
        user = tx.principals.find(PrincipalKind.USER, "administrator")
    now = service.now()
    session = Session(
        token_id=secrets.token_hex(16),
        principal_id=user.id,
        login=user.login,
        scopes=frozenset(scopes),
        issued_at=now,
        expires_at=now + timedelta(hours=1),
    )
    with service.store.writing() as tx:
        tx.tokens.insert(session)
    return session


def an_api_caller(service: Service, scopes: Iterable[Scope] = tuple(Scope)) -> ApiCaller:
    """The administrator, logged in to an app of its own on a service."""
    app = an_app(service)
    return ApiCaller(a_client(app), a_token(app, service, scopes))


def a_token(app: Flask, service: Service, scopes: Iterable[Scope] = tuple(Scope)) -> str:
    with app.app_context():
        return tokens.issue_token(a_session(service, scopes))


@dataclasses.dataclass(frozen=True)
class Worker:
    """Does in this process what a worker process does."""

    chunk_worker: ChunkWorker

    def work(self) -> None:
        while self.chunk_worker.work_once():
            pass

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Work in the background for as long as it takes to ask for it."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(0.01):
                self.work()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def worker(service: Service) -> Worker:
    return a_worker(service)


def a_worker(service: Service) -> Worker:
    assert service.config.master_key_file is not None
    vault = Vault(read_key_file(service.config.master_key_file))
    return Worker(ChunkWorker(service.store, vault, InProcessOpener(), service.now, timedelta(seconds=60)))
