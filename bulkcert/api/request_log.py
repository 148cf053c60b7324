"""One log line for each request: route, address, caller and status; never query, body or headers.

The parameters of a route are logged, except for the segments that it declares secret:

    @blueprint.get("/enrolment/<challenge>")
    @authorization.public
    @request_log.secret_segments("challenge")

An unknown path may hold a secret that was pasted by mistake, so only its short segments are logged.
"""

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import structlog
from flask import Flask, Response, current_app, g, request

from bulkcert.api import context

MASK = "***"
_LONGEST_PARAMETER = 64
"""Characters: a SHA-256 in hex fits, a token does not."""

_LONGEST_PATH = 200
_LONGEST_SEGMENT = 24
_CONVERTER = re.compile(r"<\w+(?:\([^)]*\))?:")
_METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
_DECLARATION = "_bulkcert_secret_segments"

View = TypeVar("View", bound=Callable[..., Any])


def secret_segments(*names: str) -> Callable[[View], View]:
    """Return a decorator that declares parameters of a view's path secret, so that they are not logged."""

    def mark(view: View) -> View:
        setattr(view, _DECLARATION, frozenset(names))
        return view

    return mark


def install(app: Flask) -> None:
    """Log the requests of an app, and send the id of each in `X-Request-Id`."""
    app.before_request(_begin)
    app.after_request(_end)


def check_routes(app: Flask) -> None:
    """Raise LookupError if a view declares a secret segment that its path does not have."""
    for rule in app.url_map.iter_rules():
        if unknown := _secret_segments_of(app, rule.endpoint) - rule.arguments:
            raise LookupError(f"{rule.rule} has no segments {', '.join(sorted(unknown))}")


def _secret_segments_of(app: Flask, endpoint: str) -> frozenset[str]:
    found: frozenset[str] = getattr(app.view_functions[endpoint], _DECLARATION, frozenset())
    return found


def _begin() -> None:
    context.begin()
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=context.request_id())


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = context.request_id()
    structlog.get_logger().info(
        "request",
        method=request.method if request.method in _METHODS else None,
        **_target(),
        status=response.status_code,
        milliseconds=round((time.perf_counter() - g.began) * 1000, 1),
        source=request.remote_addr,
        actor=context.login(),
        request_id=context.request_id(),
    )
    return response


def _target() -> dict[str, object]:
    """Return the route and its parameters, or the masked path if no route matches."""
    if request.url_rule is None:
        return {"route": None, "path": _masked_path(request.path)}
    secret = _secret_segments_of(current_app, request.url_rule.endpoint)
    parameters = {
        name: MASK if name in secret or len(str(value)) > _LONGEST_PARAMETER else str(value)
        for name, value in (request.view_args or {}).items()
    }
    target: dict[str, object] = {"route": template_of(request.url_rule.rule), "parameters": parameters}
    import_id = context.import_id() or parameters.get("import_id")
    return target if import_id is None else {**target, "import_id": import_id}


def template_of(rule: str) -> str:
    """Return the template of a route without its converters, e.g. `/imports/<import_id>`."""
    return _CONVERTER.sub("<", rule)


def _masked_path(path: str) -> str:
    segments = (MASK if len(segment) > _LONGEST_SEGMENT else segment for segment in path.split("/"))
    return quote("/".join(segments), safe="/*")[:_LONGEST_PATH]
