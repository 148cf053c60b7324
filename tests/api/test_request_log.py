"""A request's log line has what is needed to follow it, and no secret."""

import json
import re

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import Client

from bulkcert.api import authorization, request_log
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, an_app
from tests.builders import a_bundle

CANARY = "hunter2-canary"
TOKEN = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9"


def line_of(client: Client, path: str, method: str = "GET") -> dict[str, object]:
    with capture_logs() as log:
        client.open(path, method=method)
    [line] = [line for line in log if line["event"] == "request"]
    return dict(line)


@pytest.fixture
def client(app: Flask) -> Client:
    """A client for paths that the contract does not have, too."""
    return Client(app, app.response_class)


@pytest.mark.parametrize(("path", "logged"), [
    ("/nothing/here", "/nothing/here"),
    (f"/certificates/{TOKEN}/x", "/certificates/***/x"),
    ("/" + "a" * 24, "/" + "a" * 24),
    ("/" + "a" * 25, "/***"),
    ("/a%0Ab/%1B[31m/ü", "/a%0Ab/%1B%5B31m/%C3%BC"),
    ("/%0A" * 100, ("/%0A" * 100)[:200]),
    ("/" + "%C3%BC" * 24, ("/" + "%C3%BC" * 24)),
    ("/xenmobile/api/v2?x=" + CANARY, "/xenmobile/api/v2"),
])  # fmt: skip
def test_an_unknown_path_is_logged_escaped_short_and_without_long_segments(
    client: Client, path: str, logged: str
) -> None:
    line = line_of(client, path)

    assert (line["route"], line["path"], line["method"], line["status"]) == (None, logged, "GET", 404)
    assert len(str(line["path"])) <= 200
    assert CANARY not in json.dumps(line)


def test_a_method_that_a_path_does_not_answer_to_is_logged_with_the_path(client: Client) -> None:
    line = line_of(client, "/api/v1/limits", method="DELETE")
    assert (line["method"], line["path"], line["status"]) == ("DELETE", "/api/v1/limits", 405)

    assert line_of(client, "/api/v1/limits", method=CANARY.upper())["method"] is None


def test_an_import_is_followed_by_its_id(caller: ApiCaller) -> None:
    bundle = a_bundle(["A12BC3D4EFGH"])
    path = "/api/v1/imports?identity_type=SERIAL_NUMBER"
    with capture_logs() as log:
        made = caller.post(path, data=bundle, content_type="application/zip")
        caller.get(f"/api/v1/imports/{made.json['id']}")

    import_id = made.json["id"]
    accepted, uploaded, shown = (line for line in log if line["event"] in {"import accepted", "request"})
    assert (accepted["import_id"], accepted["actor"], accepted["total"]) == (import_id, "administrator", 1)
    assert (uploaded["import_id"], uploaded["route"]) == (import_id, "/api/v1/imports")
    assert (shown["import_id"], shown["parameters"]) == (import_id, {"import_id": import_id})
    assert shown["route"] == "/api/v1/imports/<import_id>"


def test_no_route_is_logged_with_its_converters(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        template = request_log.template_of(rule.rule)
        assert re.findall("<([^>]*)>", template) == sorted(rule.arguments, key=rule.rule.index)


def test_a_parameter_that_is_too_long_for_an_id_is_masked(client: Client) -> None:
    line = line_of(client, f"/api/v1/certificates/{3 * TOKEN}")

    assert line["parameters"] == {"certificate_id": "***"}


def an_app_with_a_secret_segment(service: Service, *declared: str) -> Flask:
    app = an_app(service)

    @authorization.public
    @request_log.secret_segments(*declared)
    def enrol(device: str, challenge: str) -> str:
        return "ok"

    app.add_url_rule("/enrolment/<device>/<challenge>", view_func=enrol)
    return app


def test_a_segment_that_its_route_declares_secret_is_masked(service: Service) -> None:
    app = an_app_with_a_secret_segment(service, "challenge")
    line = line_of(Client(app, app.response_class), f"/enrolment/a/{CANARY}")

    assert line["route"] == "/enrolment/<device>/<challenge>"
    assert line["parameters"] == {"device": "a", "challenge": "***"}
    assert CANARY not in json.dumps(line)


def test_a_secret_segment_that_the_path_does_not_have_is_a_fault_of_ours(service: Service) -> None:
    with pytest.raises(LookupError, match="no segments chalenge"):
        request_log.check_routes(an_app_with_a_secret_segment(service, "chalenge"))
