"""Requests with a body hold no more of the server's threads than their slots."""

import pytest
from flask import Flask, Response, g

from bulkcert.api import authorization, mdm_webhook, upload_slots
from bulkcert.errors import TooManyRequests, Unavailable
from bulkcert.values.principals import Caller

BODY = {"data": b"x", "environ_overrides": {"wsgi.input_terminated": True}}


def test_a_caller_beyond_the_last_slot_is_told_to_come_back_and_slots_become_free(
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

    monkeypatch.setattr(upload_slots, "MOST_ANONYMOUS", 3)
    app = Flask("fresh", static_folder=None)
    app.add_url_rule("/stall", "stall", authorization.public(read_slowly), methods=["GET", "POST"])
    app.register_error_handler(Unavailable, lambda _refusal: ("full", 503))
    authorization.install(app)
    upload_slots.install(app)
    first = app.test_client().post("/stall", **BODY).status_code

    assert first == 200
    assert nested == [200, 200, 503]
    nested.append(200)
    assert [app.test_client().post("/stall", **BODY).status_code for _ in range(10)] == [200] * 10


def test_a_request_without_a_body_needs_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_slots, "MOST_ANONYMOUS", 1)
    app = Flask("fresh", static_folder=None)
    app.add_url_rule(
        "/",
        "read",
        authorization.public(lambda: Response(str(app.test_client().post("/in", **BODY).status_code))),
    )
    app.add_url_rule("/in", "in", authorization.public(lambda: Response("in")), methods=["POST"])
    app.register_error_handler(Unavailable, lambda _refusal: ("full", 503))
    authorization.install(app)
    upload_slots.install(app)

    assert app.test_client().get("/").text == "200"


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {
        "MOST_ANONYMOUS": 4, "MOST_OF_SOURCE": 3, "MOST_AUTHENTICATED": 3, "MOST_OF_PRINCIPAL": 2, "MOST_WEBHOOKS": 1,
    }.items():  # fmt: skip
        monkeypatch.setattr(upload_slots, name, most)


Sender = tuple[int | None, str, str]
"""A principal or None, an address, a path."""

A, B, HOOK = "192.0.2.1", "192.0.2.2", "/mdm/nanomdm/webhook"


@pytest.mark.parametrize(
    ("senders", "taken"),
    [
        ([(None, A, "/")] * 4, [True, True, True, False]),
        ([*[(None, A, "/")] * 3, (None, B, "/"), (None, B, "/")], [True] * 4 + [False]),
        ([(1, A, "/")] * 3, [True, True, False]),
        ([*[(1, A, "/")] * 2, (2, A, "/"), (3, A, "/")], [True, True, True, False]),
        ([*[(None, A, "/")] * 3, (1, A, "/"), (None, A, HOOK)], [True] * 5),
        ([*[(1, A, "/")] * 2, (None, A, "/"), (None, A, HOOK)], [True] * 4),
        ([(None, A, HOOK)] * 2, [True, False]),
    ],
)
@pytest.mark.usefixtures("crowded")
def test_none_takes_the_slots_of_others(senders: list[Sender], taken: list[bool]) -> None:
    app = Flask("fresh", static_folder=None)  # without teardown: nobody gives a slot back
    app.register_blueprint(mdm_webhook.blueprint)
    slots = upload_slots.UploadSlots()
    found = []
    for principal, address, path in senders:
        with app.test_request_context(path, method="POST", data=b"x", environ_base={"REMOTE_ADDR": address}):
            if principal is not None:
                g.caller = Caller(principal, "x", "0" * 32, frozenset())
            try:
                slots.take()
            except (TooManyRequests, Unavailable):
                found.append(False)
            else:
                found.append(True)

    assert found == taken
