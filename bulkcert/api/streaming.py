"""The choice of bodies that a view reads while they arrive: uploads with a token.

Other bodies are received before the request takes a thread, so that a client that stalls holds only its
connection.
"""

from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.exceptions import HTTPException

from bulkcert.api import authorization, heads
from bulkcert.api.gateway import MOST_HELD_BYTES
from bulkcert.api.uploads import MULTIPART
from bulkcert.api.v1.imports import ZIPS

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_UPLOADS = frozenset({MULTIPART, *ZIPS})


class Streaming:
    """Decides whether a view of `app` reads the body of a request while it arrives, or not at all."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment") -> bool:
        """Return whether the view reads the body itself."""
        if heads.is_too_large(environ):
            return True
        try:
            endpoint, _ = self._app.url_map.bind_to_environ(environ).match()
        except HTTPException:
            return True  # refused or redirected without its body
        requirement = authorization.requirement_of(self._app, endpoint)
        if requirement.is_public or requirement.takes_clients:
            return False
        length = environ.get("CONTENT_LENGTH", "")
        if length.isdigit() and int(length) >= MOST_HELD_BYTES:
            return True
        return environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() in _UPLOADS
