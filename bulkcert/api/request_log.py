"""One line for every request: what was asked, from where, by whom, how it ended. Never query, body, headers.

The parameters of a route are logged, but for the segments that it declares secret:

    @blueprint.get("/enrolment/<challenge>")
    @auth.public
    @request_log.secret_segments("challenge")

Whoever asks for a path that does not exist may have pasted a secret into it, so only short segments of it are
logged.
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
"""Characters: room for a SHA-256 in hex, and not for a token."""

_LONGEST_PATH = 200
_LONGEST_SEGMENT = 24
_CONVERTER = re.compile(r"<\w+(?:\([^)]*\))?:")
_METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
_DECLARATION = "_bulkcert_secret_segments"

View = TypeVar("View", bound=Callable[..., Any])


def secret_segments(*names: str) -> Callable[[View], View]:
    """Declare which parameters in a view's path are secrets, which no log line may hold."""

    def mark(view: View) -> View:
        setattr(view, _DECLARATION, frozenset(names))
        return view

    return mark


def install(app: Flask) -> None:
    """Log the requests of an app, and name each one in `X-Request-Id`."""
    app.before_request(_begin)
    app.after_request(_end)


def check_routes(app: Flask) -> None:
    """Raise LookupError where a view declares a segment secret that its path does not have."""
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
    """Return what was asked for: a route with its parameters, or the path where there is no such route."""
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
    """Return the template of a route without converters: `/imports/<import_id>`, however it is matched."""
    return _CONVERTER.sub("<", rule)


def _masked_path(path: str) -> str:
    segments = (MASK if len(segment) > _LONGEST_SEGMENT else segment for segment in path.split("/"))
    return quote("/".join(segments), safe="/*")[:_LONGEST_PATH]
