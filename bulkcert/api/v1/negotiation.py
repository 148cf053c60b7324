"""Content negotiation (RFC 9110 §12): the media types that a view offers, and the choice for a request."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flask import current_app, request
from werkzeug.datastructures import MIMEAccept

from bulkcert.api.parsing import JSON
from bulkcert.errors import NotAcceptable

_PROBLEM = "application/problem+json"
_WORD = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_RANGE = re.compile(rf"{_WORD}/{_WORD}")
_QUALITY = re.compile(r"(?:0(?:\.[0-9]*)?|1(?:\.0*)?|\.[0-9]+)")
_UNLIKE_OURS = re.compile(r'charset\s*=(?!\s*["\']?utf-?8["\']?$)|header\s*=(?!\s*present$)')
"""Parameters that no answer has: all text is UTF-8, and each CSV has a header line (RFC 4180 §3)."""

_QUOTED = re.compile(r'"[^"]*"')
_OFFERED = "_bulkcert_offered"

View = TypeVar("View", bound=Callable[..., Any])


def offers(*media_types: str) -> Callable[[View], View]:
    """Return a decorator that declares the media types of a view, the default first; undeclared: JSON."""

    def mark(view: View) -> View:
        setattr(view, _OFFERED, media_types)
        return view

    return mark


def media_type() -> str:
    """Return the media type for the answer to this request. Raises `NotAcceptable`.

    The quality of the most specific matching range of `Accept` decides (§12.5.1), then the more specific
    range, then the order of the offer.
    """
    assert request.endpoint is not None
    offered: tuple[str, ...] = getattr(current_app.view_functions[request.endpoint], _OFFERED, (JSON,))
    accepted = MIMEAccept(_ranges(request.headers.get("Accept", "")))
    best = accepted.best_match(offered)
    # Every path can answer with a problem document, so a client that accepts those may call it.
    if best is None and accepted and accepted.best_match([_PROBLEM]) is None:
        raise NotAcceptable(f"The answer is {' or '.join(offered)}, which the Accept header leaves out.")
    return best or offered[0]


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the media ranges of an `Accept` header with their quality (RFC 9110 §12.5.1).

    A malformed range is skipped. `*` means `*/*`: Java 8 and libraries built on it send `*; q=.2`. Parameters
    that these media types do not have, like `version=1`, are ignored.
    """
    # A quoted value may contain separators, which no charset does; remove them before splitting.
    unquoted = _QUOTED.sub(lambda value: value[0].replace(",", "").replace(";", ""), accept.lower())
    for written in unquoted.split(","):
        media_range, *parameters = (part.strip() for part in written.split(";"))
        media_range = "*/*" if media_range == "*" else media_range
        qualities = [part[1:].lstrip(" =") for part in parameters if re.match(r"q\s*=", part)]
        quality = qualities[0] if qualities else "1"
        if not _RANGE.fullmatch(media_range) or not _QUALITY.fullmatch(quality):
            continue
        # For Werkzeug a range with parameters matches only a type with the same parameters.
        unlike = [part for part in parameters if _UNLIKE_OURS.match(part)]
        yield ";".join([media_range, *unlike]), float(quality)
