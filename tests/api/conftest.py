"""The app on the real wiring: a database of its own for each test, and its work done inline."""

import contextlib
import dataclasses
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from bulkcert import wiring
from bulkcert.api import auth, create_app
from bulkcert.config import Config
from bulkcert.keeper import Keeper
from bulkcert.principals import PrincipalKind, Scope, Session
from bulkcert.secret import Secret
from bulkcert.vault import Vault, read_key_file
from bulkcert.wiring import Service
from tests.api.contract import ContractClient
from tests.conftest import InProcessOpener

PASSWORD = "correct horse battery"


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
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as `init` makes it, to be copied."""
    directory = tmp_path_factory.mktemp("initialised")
    wiring.initialise(a_config(directory), Secret(PASSWORD.encode()))
    return directory


def a_config(data_dir: Path, **settings: Any) -> Config:
    config = Config.from_environment({"BULKCERT_DATA_DIR": str(data_dir)})
    return dataclasses.replace(config, **{"default_wait_seconds": 0} | settings)


NewService = Callable[..., Service]


@pytest.fixture(scope="session")
def new_service(initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewService]:
    """Make a service on a database of its own; settings by name. It waits for no import unless told to."""
    with contextlib.ExitStack() as open_services:

        def make(**settings: Any) -> Service:
            directory = tmp_path_factory.mktemp("api") / "data"
            shutil.copytree(initialised, directory)
            service = wiring.connect(a_config(directory, **settings))
            open_services.callback(service.close)
            return service

        yield make


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


def a_token(app: Flask, service: Service, scopes: Iterable[Scope] = tuple(Scope)) -> str:
    with app.app_context():
        return auth.issue_token(a_session(service, scopes))


@dataclasses.dataclass(frozen=True)
class Worker:
    """Does in this process what a worker process does."""

    keeper: Keeper

    def work(self) -> None:
        while self.keeper.work_once():
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
    return Worker(Keeper(service.store, vault, InProcessOpener(), service.now, timedelta(seconds=60)))
