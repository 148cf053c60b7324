"""An answer that asks for a long wait closes its connection: the server would close it in the middle of the next request."""

import pytest
from werkzeug.test import Client

from bulkcert.api import connections, problems
from bulkcert.errors import TooManyRequests, Unavailable
from bulkcert.imports import intake
from bulkcert.wiring.service import Service


def refusing(monkeypatch: pytest.MonkeyPatch, service: Service, refusal: Exception) -> None:
    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(type(service.access), "log_in", refuse)


@pytest.mark.parametrize(
    ("refusal", "is_closed"),
    [
        (TooManyRequests("Too many.", 1), False),
        (TooManyRequests("Too many.", connections.IDLE_SECONDS // 2), False),
        (TooManyRequests("Too many.", connections.IDLE_SECONDS // 2 + 1), True),
        (TooManyRequests("Too many.", 61), True),
        (Unavailable("Not now."), False),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/sessions", "/xenmobile/api/v1/authentication/login"])
def test_a_long_wait_is_not_spent_on_an_open_connection(
    client: Client,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    refusal: Exception,
    is_closed: bool,
) -> None:
    refusing(monkeypatch, service, refusal)
    answer = client.post(path, json={"login": "x", "password": "y"})

    assert int(answer.headers["Retry-After"]) > 0
    assert (answer.headers.get("Connection") == "close") == is_closed


def test_what_the_service_asks_for_by_itself_is_a_short_wait() -> None:
    assert intake._RETRY_SECONDS <= connections.MOST_WAIT_SECONDS
    assert problems._RETRY_SECONDS <= connections.MOST_WAIT_SECONDS
