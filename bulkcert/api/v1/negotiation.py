"""Content negotiation (RFC 9110 §12): what a view offers to write, and what a request gets of that."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, request
from werkzeug.datastructures import MIMEAccept

from bulkcert.errors import NotAcceptable

JSON = "application/json"

_PROBLEM = "application/problem+json"
_UTF_8 = re.compile(r"\s*;\s*charset=\"?utf-8\"?", re.IGNORECASE)
_OFFERED = "_bulkcert_offered"

View = TypeVar("View", bound=Callable[..., Any])


def offers(*media_types: str) -> Callable[[View], View]:
    """Say what a view writes, where that is not JSON alone; the first is for whoever does not mind."""

    def mark(view: View) -> View:
        setattr(view, _OFFERED, media_types)
        return view

    return mark


def media_type() -> str:
    """Give the media type that this request gets of its view, or raise `NotAcceptable`.

    The quality that the most specific range of `Accept` gives decides (§12.5.1), then which range is more
    specific, then the order of the offer.
    """
    assert request.endpoint is not None
    offered: tuple[str, ...] = getattr(current_app.view_functions[request.endpoint], _OFFERED, (JSON,))
    # All that is written is UTF-8; Werkzeug takes a range with parameters for those parameters only.
    accepted = MIMEAccept(
        [(_UTF_8.sub("", written), quality) for written, quality in request.accept_mimetypes]
    )
    best = accepted.best_match(offered)
    # A problem document is what a refusal is, whatever else the path writes: who takes that may ask.
    if best is None and accepted and accepted.best_match([_PROBLEM]) is None:
        raise NotAcceptable(f"The answer is {' or '.join(offered)}, which the Accept header leaves out.")
    return best or offered[0]
