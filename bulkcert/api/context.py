"""What the present request has at hand: the service, its caller, its door.

This is the one place that reaches into Flask's context, so that a view reads like a function of its request.
"""

import uuid

from flask import Flask, current_app, g, request

from bulkcert.api.waiting_room import WaitingRoom
from bulkcert.values.principals import Caller
from bulkcert.wiring.service import Service

DOOR_ONE = "/xenmobile/"
"""Everything below is the Citrix-compatible door: its own token header, its own error envelope."""


def keep(app: Flask, service: Service) -> None:
    """Give an app its service, and the places for requests that wait."""
    app.extensions["bulkcert"] = service
    app.extensions["bulkcert.waiting"] = WaitingRoom(service.importer.wait, service.limits.waiting_requests)


def service() -> Service:
    """The service that this app is a door of."""
    return service_of(current_app)


def service_of(app: Flask) -> Service:
    """Return the service that an app is a door of."""
    found: Service = app.extensions["bulkcert"]
    return found


def waiting_room() -> WaitingRoom:
    """The places for requests that wait for their import; both doors share them."""
    room: WaitingRoom = current_app.extensions["bulkcert.waiting"]
    return room


def caller() -> Caller:
    """Whoever makes this request. Set by `auth` before every view that is not public."""
    found: Caller = g.caller
    return found


def check_token() -> None:
    """Raise `Unauthenticated` where the caller's token does not count any more."""
    service().access.find_session(caller().token_id)


def login() -> str | None:
    """The caller's login, None where nobody has shown a valid token (yet)."""
    return g.caller.login if "caller" in g else None


def begin() -> None:
    """Begin a request with nothing at hand: not even what an answer that still streams may have left."""
    for name in ("caller", "missing_scopes", "import_id"):
        g.pop(name, None)
    g.request_id = str(uuid.uuid4())


def request_id() -> str:
    """A random UUID for this request: in `X-Request-Id`, the log line, and what is said of a fault."""
    found: str = g.request_id
    return found


def note_import(import_id: str) -> None:
    """Note which import this request is about, for its log line."""
    g.import_id = import_id


def import_id() -> str | None:
    """The import that was noted; None where there is none."""
    found: str | None = g.get("import_id")
    return found


def at_door_one() -> bool:
    """Whether the request came to the Citrix-compatible door."""
    return request.path.startswith(DOOR_ONE)
