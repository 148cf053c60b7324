# ruff: noqa: F811 - a fixture is used by its name
"""Clients that wait as long as `Retry-After` says, on a connection that they keep open, meet no closing server."""

import concurrent.futures
import http.client
import json
import time

import pytest

from bulkcert.api.connections import IDLE_SECONDS, MOST_WAIT_SECONDS
from tests.live.service import LIVE, LiveService, live_service  # noqa: F401 - a fixture

pytestmark = [*LIVE, pytest.mark.timeout(300)]

CLIENTS = 7


class KeepingClient:
    """Logs in with a wrong password, again and again, on one connection as long as that is not closed.

    `http.client` raises RemoteDisconnected or SSLEOFError where it sends into a connection that was closed.
    """

    def __init__(self, service: LiveService, number: int = 0) -> None:
        self._service = service
        self._body = json.dumps({"login": f"nobody-{number}", "password": "wrong"})
        self.connection = self._connect()
        self.waits: list[int] = []

    def _connect(self) -> http.client.HTTPSConnection:
        context = self._service.tls_context
        return http.client.HTTPSConnection("localhost", self._service.port, timeout=30, context=context)

    def fail_until_a_long_wait_is_over(self) -> None:
        while max(self.waits, default=0) <= MOST_WAIT_SECONDS:
            self.fail()
        self.fail()

    def fail(self) -> None:
        self.connection.request("POST", "/api/v1/sessions", self._body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        answer.read()
        wait = int(answer.headers.get("Retry-After", 0))
        assert answer.status == (429 if wait else 401)
        assert answer.will_close == (wait > MOST_WAIT_SECONDS)
        if answer.will_close:
            self.connection.close()
            self.connection = self._connect()
        self.waits.append(wait)
        time.sleep(wait)


def test_a_client_that_waits_as_long_as_it_is_told_is_always_answered(live_service):
    clients = [KeepingClient(live_service, number) for number in range(CLIENTS)]
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as threads:
        for done in [threads.submit(client.fail_until_a_long_wait_is_over) for client in clients]:
            done.result()

    for client in clients:
        assert any(0 < wait <= MOST_WAIT_SECONDS for wait in client.waits)
        client.connection.close()


def test_an_open_connection_lasts_longer_than_the_longest_wait(live_service):
    client = KeepingClient(live_service)
    client.connection.request("GET", "/health/live")
    client.connection.getresponse().read()
    time.sleep(MOST_WAIT_SECONDS)
    sock = client.connection.sock
    client.connection.request("GET", "/health/live")

    assert client.connection.getresponse().status == 200
    assert client.connection.sock is sock
    client.connection.close()
    assert IDLE_SECONDS >= 2 * MOST_WAIT_SECONDS
