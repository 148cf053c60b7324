"""The shipped server under bodies that do not come: others are served, and what was held is free at once.

With TORTURE=1 there are as many clients as an attack may have; otherwise fewer.
"""

import contextlib
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator

import pytest

from tests import builders
from tests.live.service import LIVE, LiveService

pytestmark = [*LIVE, pytest.mark.timeout(300)]

IS_WHOLE = os.environ.get("TORTURE") == "1"
BODY_SECONDS = 4
IMPORTS = "/api/v1/imports?identity_type=SERIAL_NUMBER"
MOST_SECONDS = 0.5


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    settings = {"BULKCERT_BODY_SECONDS": str(BODY_SECONDS), "BULKCERT_LIMIT_SPOOL_BYTES": str(8 * 1024**2)}
    with LiveService(tmp_path_factory.mktemp("bodies") / "data", settings) as found:
        assert found.token
        yield found


def stalled(
    service: LiveService, path: str, *headers: str, source: str = "127.0.0.1", begin: bytes = b"{"
) -> socket.socket:
    """Begin a request from an address, and stall in its body."""
    plain = socket.create_connection(("127.0.0.1", service.port), 20, (source, 0))
    connection = service.tls_context.wrap_socket(plain, server_hostname="localhost")
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode() + begin)
    return connection


def a_login(service: LiveService, source: str) -> socket.socket:
    return stalled(
        service,
        "/api/v1/sessions",
        "Content-Type: application/json",
        "Content-Length: 100",
        source=source,
    )


def a_citrix_login_as_chunked_zip(service: LiveService, source: str) -> socket.socket:
    path = "/xenmobile/api/v1/authentication/login"
    return stalled(
        service,
        path,
        "Content-Type: application/zip",
        "Transfer-Encoding: chunked",
        source=source,
        begin=b"1\r\n{\r\n",
    )


def a_webhook(service: LiveService, source: str) -> socket.socket:
    return stalled(service, "/mdm/nanomdm/webhook", "Content-Length: 900000", source=source)


def an_upload(service: LiveService, source: str, megabytes: int = 0) -> socket.socket:
    headers = (
        f"Authorization: Bearer {service.token}",
        "Content-Type: application/zip",
        "Content-Length: 100000000",
    )
    return stalled(service, IMPORTS, *headers, source=source, begin=b"PK" + bytes(megabytes * 1024**2))


def an_order(service: LiveService, source: str) -> socket.socket:
    headers = (f"Authorization: Bearer {service.token}", "Content-Type: application/json")
    return stalled(service, "/api/v1/users", *headers, "Content-Length: 100", source=source)


def a_refused_upload(service: LiveService, source: str) -> socket.socket:
    headers = ("Content-Type: application/zip", "Content-Length: 100000000")
    return stalled(service, IMPORTS, *headers, source=source)


def status_of(connection: socket.socket) -> int:
    connection.settimeout(30)
    return int(connection.recv(1000).split(b" ", 2)[1])


def seconds_of_pings(service: LiveService) -> float:
    """Return the p99 of 50 requests, each on a new connection."""
    taken = []
    for _ in range(50):
        began = time.perf_counter()
        with service.client() as client:
            assert client.get(f"{service.base_url}/health/ready", timeout=30).status_code == 200
        taken.append(time.perf_counter() - began)
    return statistics.quantiles(taken, n=100)[98]


def seconds_of_login(service: LiveService) -> float:
    began = time.perf_counter()
    body = {"login": "administrator", "password": service.password}
    with service.client() as client:
        answer = client.post(f"{service.base_url}/api/v1/sessions", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


@pytest.mark.parametrize(
    ("stall", "clients"),
    [
        (a_login, 256),
        (a_citrix_login_as_chunked_zip, 256),
        (a_webhook, 256),
        (an_order, 520),
        (an_upload, 520),
        (a_refused_upload, 256),
    ],
)
def test_others_are_served_while_bodies_stall(
    service: LiveService, stall: Callable[[LiveService, str], socket.socket], clients: int
) -> None:
    clients = clients if IS_WHOLE else min(clients, 260)
    with contextlib.ExitStack() as slow:
        for number in range(clients):
            slow.enter_context(stall(service, f"127.0.0.{1 + number % 4}"))
        login = seconds_of_login(service)
        pings = seconds_of_pings(service)

    assert login < 5
    assert pings < MOST_SECONDS


@pytest.mark.parametrize(
    ("stall", "status"), [(a_login, 408), (an_upload, 408), (an_order, 408), (a_webhook, 408)]
)
def test_a_stalled_body_is_refused_in_time(
    service: LiveService, stall: Callable[[LiveService, str], socket.socket], status: int
) -> None:
    began = time.monotonic()
    with stall(service, "127.0.0.1") as connection:
        assert status_of(connection) == status
    assert BODY_SECONDS - 1 < time.monotonic() - began < 3 * BODY_SECONDS


def test_stalled_uploads_that_fill_the_spool_give_it_back(service: LiveService) -> None:
    zips = {"Content-Type": "application/zip"}
    bundle = builders.a_bundle(["AFTERSTALL01"], extra={"notes.bin": os.urandom(2 * 1024**2)})
    with contextlib.ExitStack() as slow:
        uploads = [slow.enter_context(an_upload(service, "127.0.0.1", megabytes=1)) for _ in range(7)]
        time.sleep(1)  # until all of it is written
        refused = service.request("POST", IMPORTS, data=bundle, headers=zips)
        assert [status_of(each) for each in uploads] == [408] * 7
        began = time.monotonic()
        answer = service.request("POST", IMPORTS, data=bundle, headers=zips)

    assert (refused.status_code, refused.json()["code"]) == (429, "spool_full")
    assert answer.status_code in {201, 202}, answer.text
    assert time.monotonic() - began < 5


def test_stalled_refusals_do_not_keep_others_from_reading_theirs(service: LiveService) -> None:
    with contextlib.ExitStack() as slow:
        for _ in range(64):
            slow.enter_context(a_refused_upload(service, "127.0.0.1"))
        time.sleep(0.5)
        for _ in range(3):
            with service.client() as client:
                answer = client.post(
                    service.base_url + IMPORTS,
                    data=bytes(20 * 1024**2),
                    headers={"Content-Type": "application/zip"},
                    timeout=60,
                )
            assert answer.status_code == 401


def test_the_upload_of_an_account_that_is_disabled_ends(service: LiveService) -> None:
    user = {"login": "leaver", "password": "a password of a leaver 1", "role": "operator"}
    assert service.request("POST", "/api/v1/users", json=user).status_code == 201
    with service.client() as client:
        credentials = {name: user[name] for name in ("login", "password")}
        answer = client.post(f"{service.base_url}/api/v1/sessions", json=credentials)
        token = answer.json()["access_token"]
    before = service.request("GET", "/api/v1/imports").json()["items"]
    bundle = builders.a_bundle(["LEAVER000001"])

    def slowly() -> Iterator[bytes]:
        yield bundle[:100]
        assert service.request("POST", "/api/v1/users/leaver/disable").status_code == 200
        time.sleep(1.5)
        yield bundle[100:]

    with service.client(token) as client:
        answer = client.post(
            service.base_url + IMPORTS, data=slowly(), headers={"Content-Type": "application/zip"}, timeout=30
        )

    assert answer.status_code == 401
    assert service.request("GET", "/api/v1/imports").json()["items"] == before
