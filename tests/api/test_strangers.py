"""Callers without a token hold no more of the server's threads than their seats."""

import pytest
from flask import Flask, Response

from bulkcert.api import auth
from bulkcert.errors import Unavailable

BODY = {"data": b"x", "environ_overrides": {"wsgi.input_terminated": True}}


def test_a_stranger_beyond_the_last_seat_is_told_to_come_back_and_seats_become_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nested: list[int] = []

    def read_slowly() -> Response:
        """While one request is in its body, the next comes, until one is refused."""
        if not nested or nested[-1] == 0:
            nested.append(0)
            at = len(nested) - 1
            nested[at] = app.test_client().post("/stall", **BODY).status_code
        return Response("done")

    monkeypatch.setattr(auth, "MOST_STRANGERS", 3)
    app = Flask("fresh", static_folder=None)
    app.add_url_rule("/stall", "stall", auth.public(read_slowly), methods=["GET", "POST"])
    app.register_error_handler(Unavailable, lambda _refusal: ("full", 503))
    auth.install(app)
    first = app.test_client().post("/stall", **BODY).status_code

    assert first == 200
    assert nested == [200, 200, 503]
    nested.append(200)
    assert [app.test_client().post("/stall", **BODY).status_code for _ in range(10)] == [200] * 10


def test_a_request_without_a_body_needs_no_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_STRANGERS", 1)
    app = Flask("fresh", static_folder=None)
    app.add_url_rule(
        "/", "read", auth.public(lambda: Response(str(app.test_client().post("/in", **BODY).status_code)))
    )
    app.add_url_rule("/in", "in", auth.public(lambda: Response("in")), methods=["POST"])
    app.register_error_handler(Unavailable, lambda _refusal: ("full", 503))
    auth.install(app)

    assert app.test_client().get("/").text == "200"


def test_one_address_cannot_take_all_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_STRANGERS", 4)
    monkeypatch.setattr(auth, "MOST_OF_SOURCE", 3)
    strangers = auth.Strangers()

    assert [strangers.take_seat("192.0.2.1") for _ in range(4)] == [True, True, True, False]
    assert [strangers.take_seat("192.0.2.2") for _ in range(2)] == [True, False]
    strangers.leave("192.0.2.1")
    assert strangers.take_seat("192.0.2.2") is True
