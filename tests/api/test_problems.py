"""Everything that is raised becomes an answer of its API, and no answer or log line holds what was sent."""

import errno
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, stream_with_context
from structlog.testing import capture_logs
from werkzeug import exceptions
from werkzeug.test import Client

from bulkcert import errors
from bulkcert.api import authorization, problems
from bulkcert.api.parsing import MOST_FAULTS
from bulkcert.errors import Fault, Refusal
from bulkcert.wiring.service import Service
from tests.api.conftest import NewService, a_client, a_token

CANARY = "hunter2-canary"


@pytest.fixture(scope="module")
def service(new_service: NewService) -> Service:
    return new_service()


def subclasses(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for below in kind.__subclasses__():
        yield below
        yield from subclasses(below)


def a_refusal(kind: type[Refusal]) -> Refusal:
    if issubclass(kind, errors.TooManyRequests):
        return kind("Too many.", retry_after=7)
    if kind is errors.StillRunning:
        return errors.StillRunning("It goes on.", request_id="42")
    return kind("It is so.", (Fault("there", "It is wrong."),))


def raising(app: Flask, error: BaseException, endpoint: str = "health.live") -> Client:
    """A client of an app in which a view raises."""

    def view(**_: str) -> Response:
        raise error

    app.view_functions[endpoint] = authorization.public(view)
    return Client(app, app.response_class)


REFUSALS = sorted(
    (kind for kind in subclasses(errors.RequestRefusal) if kind.__module__.startswith("bulkcert.errors")),
    key=lambda kind: kind.code,
)


def test_the_table_holds_every_refusal_of_a_request_and_none_that_is_no_refusal() -> None:
    assert set(REFUSALS) | {errors.ItemRefusal, errors.NotFit} == set(problems.STATUS)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.code)
def test_a_refusal_becomes_a_problem_document(app: Flask, kind: type[Refusal]) -> None:
    refusal = a_refusal(kind)
    answer = raising(app, refusal).get("/health/live")

    assert answer.status_code == problems.STATUS[kind]
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert answer.json["type"] == f"/problems#{kind.code}"
    assert answer.json["status"] == answer.status_code
    assert (answer.json["code"], answer.json["remedy"]) == (kind.code, kind.remedy)
    assert answer.json["detail"] == refusal.detail
    assert answer.json["instance"] == f"urn:uuid:{answer.headers['X-Request-Id']}"
    if refusal.faults:
        assert answer.json["errors"] == [{"where": "there", "detail": "It is wrong."}]


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.code)
def test_a_refusal_becomes_an_envelope_at_the_citrix_compatible_api(app: Flask, kind: type[Refusal]) -> None:
    answer = raising(app, a_refusal(kind), "citrix.log_in").post("/xenmobile/api/v1/authentication/login")

    assert answer.mimetype == "application/json"
    assert answer.json is not None
    assert isinstance(answer.json["status"], int)
    assert answer.json["status"] != 0
    assert "It" in answer.json["message"] or "Too many." in answer.json["message"]


@pytest.mark.parametrize("kind", sorted(subclasses(errors.NotFit), key=lambda kind: kind.code))
def test_a_certificate_that_does_not_fit_a_policy_is_422(app: Flask, kind: type[Refusal]) -> None:
    answer = raising(app, a_refusal(kind)).get("/health/live")

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (422, kind.code)


@pytest.mark.parametrize("kind", sorted(subclasses(errors.ItemRefusal), key=lambda kind: kind.code))
def test_a_refusal_of_an_item_that_is_all_of_a_request_is_422(app: Flask, kind: type[Refusal]) -> None:
    assert raising(app, a_refusal(kind)).get("/health/live").status_code == 422


@pytest.mark.parametrize(
    ("refusal", "header", "value"),
    [
        (errors.TooManyRequests("Too many.", 7), "Retry-After", "7"),
        (errors.StillRunning("It goes on.", "42"), "Retry-After", "5"),
        (errors.Unavailable("The database does not answer."), "Retry-After", "5"),
        (errors.WrongCredentials("No."), "WWW-Authenticate", 'Bearer realm="bulkcert"'),
    ],
)
def test_a_refusal_brings_its_header(app: Flask, refusal: Refusal, header: str, value: str) -> None:
    assert raising(app, refusal).get("/health/live").headers[header] == value


def test_many_faults_are_cut_off(app: Flask) -> None:
    faults = tuple(Fault(f"identities[{number}]", "Not a valid string.") for number in range(1000))
    answer = raising(app, errors.MalformedRequest("No.", faults)).get("/health/live")

    assert answer.json is not None
    assert len(answer.json["errors"]) == MOST_FAULTS


class Odd(Exception):
    """Something that nobody thought of."""


@pytest.mark.parametrize(
    "error",
    [
        Odd(CANARY),
        ValueError(CANARY),
        RecursionError(CANARY),
        MemoryError(CANARY),
        OSError(errno.EIO, CANARY),
        exceptions.InternalServerError(CANARY),
        errors.BrokenSeal(CANARY),
        # They name paths of the machine.
        *(kind(CANARY) for kind in errors.StartRefusal.__subclasses__()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_anything_else_is_a_fault_whose_text_nobody_sees(app: Flask, error: BaseException) -> None:
    error.__context__ = KeyError(CANARY)
    with capture_logs() as log:
        answer = raising(app, error).get("/health/live")

    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["code"] == "internal_fault"
    assert answer.headers["X-Request-Id"] in answer.json["detail"]
    [line] = [line for line in log if line["event"] == "internal_fault"]
    assert line["reference"] == answer.headers["X-Request-Id"]
    assert line["error"] == type(error).__name__
    assert line["causes"] == ["KeyError"]
    assert line["frames"][-1].endswith("view")
    assert CANARY not in answer.text + json.dumps(log)


def test_a_fault_names_lines_of_code_without_the_paths_of_the_machine(app: Flask) -> None:
    with capture_logs() as log:
        raising(app, Odd()).get("/health/live")

    [line] = [line for line in log if line["event"] == "internal_fault"]
    assert not any(frame.startswith("/") for frame in line["frames"])


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (errno.ENOSPC, 507, "storage_full"),
        (errno.EDQUOT, 507, "storage_full"),
        (errno.EMFILE, 503, "unavailable"),
        (errno.ENFILE, 503, "unavailable"),
    ],
)
def test_a_machine_that_ran_out_of_something_says_so(app: Flask, number: int, status: int, code: str) -> None:
    answer = raising(app, OSError(number, CANARY)).get("/health/live")

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (exceptions.NotFound, 404, "not_found"),
        (exceptions.MethodNotAllowed, 405, "method_not_allowed"),
        (exceptions.NotAcceptable, 406, "not_acceptable"),
        (exceptions.RequestEntityTooLarge, 413, "bundle_too_large"),
        (exceptions.UnsupportedMediaType, 415, "unsupported_media_type"),
        (exceptions.BadRequest, 400, "malformed_request"),
        (exceptions.ClientDisconnected, 400, "malformed_request"),
        (exceptions.BadRequestKeyError, 400, "malformed_request"),
        (exceptions.RequestHeaderFieldsTooLarge, 400, "malformed_request"),
        (exceptions.ImATeapot, 400, "malformed_request"),
        (exceptions.BadGateway, 500, "internal_fault"),
    ],
)
def test_what_werkzeug_raises_is_told_in_our_words(
    app: Flask, error: type[exceptions.HTTPException], status: int, code: str
) -> None:
    answer = raising(app, error(CANARY)).get("/health/live")

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert CANARY not in answer.text


def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(app: Flask) -> None:
    for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW"):
        answer = a_client(app).open("/api/v1/imports", method=method)

        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/api", "/api/v1/nothing", "/static/x",
                                  "/api/v1//limits", "/api/v1/limits/", "/xenmobile"])  # fmt: skip
def test_an_unknown_path_is_a_problem_and_never_a_redirect(app: Flask, path: str) -> None:
    answer = Client(app, app.response_class).get("/", environ_overrides={"PATH_INFO": path})

    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_an_unknown_path_of_the_citrix_compatible_api_is_an_envelope(app: Flask) -> None:
    answer = Client(app, app.response_class).get("/xenmobile/api/v1/nothing")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["status"] != 0


@pytest.mark.parametrize(
    "path",
    ["/xenmobile/api/v1/certificates", "//xenmobile/api/v1/certificates", "///xenmobile/api/v1/certificates"],
)
def test_a_double_slash_before_xenmobile_is_one(app: Flask, service: Service, path: str) -> None:
    headers = {"Auth_token": a_token(app, service)}
    # A client of Werkzeug would read the host out of a double slash.
    answer = Client(app, app.response_class).get(
        "/", headers=headers, environ_overrides={"PATH_INFO": path}, buffered=True
    )

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["certificate"] == []


@pytest.mark.parametrize(
    "path", ["/health/live", "/nothing", "/api/v1/limits", "/xenmobile/api/v1/certificates"]
)
def test_every_answer_is_hardened_and_named(app: Flask, path: str) -> None:
    first, second = (Client(app, app.response_class).get(path) for _ in range(2))

    for answer in (first, second):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


def test_a_name_that_the_client_gives_its_request_is_not_taken(app: Flask) -> None:
    answer = a_client(app).get("/health/live", headers={"X-Request-Id": CANARY})

    assert answer.headers["X-Request-Id"] != CANARY


def request_line(log: Any) -> dict[str, Any]:
    [line] = [line for line in log if line["event"] == "request"]
    return dict(line)


def test_a_log_line_says_what_was_asked_and_by_whom(app: Flask, service: Service) -> None:
    headers = {"Authorization": f"Bearer {a_token(app, service)}"}
    with capture_logs() as log:
        answer = a_client(app).get(
            "/api/v1/certificates/1", headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"}
        )

    line = request_line(log)
    assert line.pop("milliseconds") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/api/v1/certificates/<certificate_id>",
        "parameters": {"certificate_id": "1"},
        "status": 404,
        "source": "192.0.2.7",
        "actor": "administrator",
        "request_id": answer.headers["X-Request-Id"],
    }


def test_a_log_line_holds_no_query_body_or_header(app: Flask) -> None:
    client = Client(app, app.response_class)
    with capture_logs() as log:
        client.post("/api/v1/sessions", json={"login": CANARY, "password": CANARY})
        client.get(f"/api/v1/certificates/1?q={CANARY}", headers={"Authorization": CANARY})
        client.get(f"/{2 * CANARY}?q={CANARY}")
        client.open("/api/v1/limits", method=CANARY)

    assert len(log) == 4
    assert CANARY not in json.dumps(log)
    assert CANARY.upper() not in json.dumps(log)


def test_a_request_begins_without_what_a_stream_before_it_left(app: Flask, service: Service) -> None:
    """A stream with context that nobody has read to its end keeps its context, and with it `g`, alive."""

    @authorization.authenticated
    def streaming() -> Response:
        return Response(stream_with_context(iter("abc")))

    app.view_functions["v1.limits.show"] = streaming
    client = Client(app, app.response_class)
    token = a_token(app, service)
    unread = client.get("/api/v1/limits", headers={"Authorization": f"Bearer {token}"})
    with capture_logs() as log:
        answer = client.get("/health/live")

    assert request_line(log)["actor"] is None
    assert answer.headers["X-Request-Id"] != unread.headers["X-Request-Id"]
    unread.close()
