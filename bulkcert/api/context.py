"""The context of the current request: the service, the caller, the request id.

Only this module reads Flask's context for views, so that a view reads like a function of its request.
"""

import uuid

from flask import Flask, current_app, g, request

from bulkcert.api.waiting_room import WaitingRoom
from bulkcert.values.principals import Caller
from bulkcert.wiring.service import Service

CITRIX_PATHS = "/xenmobile/"
"""Paths of the Citrix-compatible API, which has its own token header and its own envelope for refusals."""


def keep(app: Flask, service: Service) -> None:
    """Set the service of an app, and create its waiting room."""
    app.extensions["bulkcert"] = service
    app.extensions["bulkcert.waiting"] = WaitingRoom(service.intake.wait, service.limits.waiting_requests)


def service() -> Service:
    """Return the service behind the app of this request."""
    return service_of(current_app)


def service_of(app: Flask) -> Service:
    """Return the service behind an app."""
    found: Service = app.extensions["bulkcert"]
    return found


def waiting_room() -> WaitingRoom:
    """Return the waiting room, which both APIs share."""
    room: WaitingRoom = current_app.extensions["bulkcert.waiting"]
    return room


def caller() -> Caller:
    """Return the caller of this request, set by `authorization` before every view that is not public."""
    found: Caller = g.caller
    return found


def check_token() -> None:
    """Raise `Unauthenticated` if the caller's token expired or was revoked meanwhile."""
    service().access.find_session(caller().token_id)


def login() -> str | None:
    """Return the login of the caller, None before a valid token was checked."""
    return g.caller.login if "caller" in g else None


def begin() -> None:
    """Clear the context for a new request; a streamed answer may have left values of another request."""
    for name in ("caller", "missing_scopes", "import_id"):
        g.pop(name, None)
    g.request_id = str(uuid.uuid4())


def request_id() -> str:
    """Return the random UUID of this request, as in `X-Request-Id`, the log and the text of a fault."""
    found: str = g.request_id
    return found


def note_import(import_id: str) -> None:
    """Set the import of this request, for its log line."""
    g.import_id = import_id


def import_id() -> str | None:
    """Return the import of this request, None if none was set."""
    found: str | None = g.get("import_id")
    return found


def is_citrix_request() -> bool:
    """Return whether this request came to the Citrix-compatible API."""
    return request.path.startswith(CITRIX_PATHS)
