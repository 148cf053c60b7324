"""The service behind nginx and HAProxy, as `deploy/` configures them."""

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.deploy.proxies import BODY_SECONDS, COMMANDS, HEAD_SECONDS, needs_proxy, running_proxy
from tests.live.service import LIVE, LiveService
from tests.paths import ROOT

pytestmark = LIVE

SAMPLE = ROOT / "sample_bundles" / "serial-numbers.zip"


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[LiveService]:
    options = ("--no-tls", "--behind-proxy", "--workers", "0")
    with LiveService(tmp_path_factory.mktemp("behind") / "data", options=options) as service:
        yield service


@dataclass
class Proxied:
    """A client of the service that goes by a proxy."""

    service: LiveService
    port: int

    def request(self, method: str, path: str, **rest: Any) -> requests.Response:
        base = f"https://localhost:{self.port}"
        with self.service.client() as client:
            request = client.prepare_request(requests.Request(method, base, **rest))
            request.url = base + path  # as it is given: requests would make one slash of two
            return client.send(request, verify=str(self.service.ca_file), timeout=60)

    def send(self, head: str, body: bytes = b"") -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.service.ca_file)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection = context.wrap_socket(plain, server_hostname="localhost")
        connection.sendall(head.replace("\n", "\r\n").encode() + body)
        return connection


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def proxied(request, service, tmp_path_factory) -> Iterator[Proxied]:
    needs_proxy(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    with running_proxy(request.param, folder, service.data_dir / "tls", service.port) as port:
        yield Proxied(service, port)


def test_an_import_is_answered_though_it_waits_for_longer_than_a_client_may(proxied):
    began = time.monotonic()
    answer = proxied.request(
        "POST",
        "/api/v1/imports",
        headers={"Authorization": f"Bearer {proxied.service.token}", "Prefer": f"wait={BODY_SECONDS + 2}"},
        data={"identity_type": "SERIAL_NUMBER"},
        files={"bundle": SAMPLE.read_bytes()},
    )

    assert answer.status_code == 202, answer.text  # no worker runs here
    assert time.monotonic() - began > BODY_SECONDS + 1


@pytest.mark.parametrize("prefix", ["/xenmobile", "//xenmobile"])
def test_a_header_with_an_underscore_and_a_doubled_slash_arrive(proxied, prefix):
    login = {"login": "administrator", "password": proxied.service.password}
    token = proxied.request("POST", f"{prefix}/api/v1/authentication/login", json=login).json()["auth_token"]

    answer = proxied.request("GET", f"{prefix}/api/v1/certificates", headers={"Auth_token": token})

    assert answer.status_code == 200, answer.text


def test_a_body_that_is_too_large_is_refused_at_its_head(proxied):
    head = f"POST /api/v1/imports HTTP/1.1\nHost: localhost\nContent-Length: {514 * 1024 * 1024}\n\n"
    with proxied.send(head) as connection:
        assert connection.recv(100).split()[1] == b"413"


def test_a_body_of_the_largest_bundle_is_let_through_while_it_comes(proxied):
    """The service says 401 before the proxy has more than a thousandth of the body."""
    head = (
        "POST /api/v1/imports HTTP/1.1\nHost: localhost\nContent-Type: application/zip\n"
        f"Content-Length: {512 * 1024 * 1024}\n\n"
    )
    with proxied.send(head, b"PK" * 1024 * 64) as connection:
        assert connection.recv(100).split()[1] == b"401"


def test_failed_logins_are_counted_by_the_address_that_the_proxy_saw(proxied):
    statuses = [
        proxied.request(
            "POST",
            "/api/v1/sessions",
            json={"login": "nobody", "password": "wrong password"},
            headers={"X-Forwarded-For": f"192.0.2.{number}"},
        ).status_code
        for number in range(1, 9)
    ]

    assert statuses[-1] == 429, statuses


def seconds_until_closed(connection: ssl.SSLSocket) -> float:
    began = time.monotonic()
    while connection.recv(4096):
        pass
    return time.monotonic() - began


def test_a_head_that_does_not_come_is_not_waited_for(proxied):
    with proxied.send("GET / HTTP/1.1\nHost: local") as connection:
        assert seconds_until_closed(connection) < HEAD_SECONDS + 5


def test_a_body_that_does_not_come_is_not_waited_for(proxied):
    head = (
        f"POST /api/v1/imports HTTP/1.1\nHost: localhost\nAuthorization: Bearer {proxied.service.token}\n"
        "Content-Type: application/zip\nContent-Length: 1000000\n\n"
    )
    with proxied.send(head, b"PK") as connection:
        assert seconds_until_closed(connection) < BODY_SECONDS + 8
