"""One line for every request: what was asked, by whom, how it ended. Never values, bodies or headers."""

import time

import structlog
from flask import Flask, Response, g, request

from bulkcert.api import current


def install(app: Flask) -> None:
    """Log the requests of an app, and name each one in `X-Request-Id`."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    current.begin()
    g.began = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = current.request_id()
    rule = request.url_rule
    structlog.get_logger().info(
        "request",
        method=request.method if rule else None,  # of an unknown path, even the method may be anything
        route=rule.rule if rule else None,  # the template: an id is a value as well
        status=response.status_code,
        milliseconds=round((time.perf_counter() - g.began) * 1000, 1),
        login=current.login(),
        request_id=current.request_id(),
    )
    return response
