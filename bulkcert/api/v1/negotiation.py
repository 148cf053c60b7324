"""Content negotiation (RFC 9110 §12): what a view offers to write, and what a request gets of that."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flask import current_app, request
from werkzeug.datastructures import MIMEAccept

from bulkcert.errors import NotAcceptable

JSON = "application/json"

_PROBLEM = "application/problem+json"
_WORD = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_RANGE = re.compile(rf"{_WORD}/{_WORD}")
_QUALITY = re.compile(r"(?:0(?:\.[0-9]*)?|1(?:\.0*)?|\.[0-9]+)")
_UNLIKE_OURS = re.compile(r'charset\s*=(?!\s*["\']?utf-?8["\']?$)|header\s*=(?!\s*present$)')
"""A parameter that no answer fits: all text is UTF-8, and every CSV has a line of headings (RFC 4180 §3)."""

_QUOTED = re.compile(r'"[^"]*"')
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
    accepted = MIMEAccept(_ranges(request.headers.get("Accept", "")))
    best = accepted.best_match(offered)
    # A problem document is what a refusal is, whatever else the path writes: who takes that may ask.
    if best is None and accepted and accepted.best_match([_PROBLEM]) is None:
        raise NotAcceptable(f"The answer is {' or '.join(offered)}, which the Accept header leaves out.")
    return best or offered[0]


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the media ranges of an `Accept` header with their quality (RFC 9110 §12.5.1).

    One in a bad form is passed over: Java 8 and what is built on it send `*; q=.2`, where `*` means anything.
    Parameters that these types do not have, as `version=1`, are ignored.
    """
    # A quoted value may hold the separators; only one without them can be a charset's.
    unquoted = _QUOTED.sub(lambda value: value[0].replace(",", "").replace(";", ""), accept.lower())
    for written in unquoted.split(","):
        media_range, *parameters = (part.strip() for part in written.split(";"))
        media_range = "*/*" if media_range == "*" else media_range
        qualities = [part[1:].lstrip(" =") for part in parameters if re.match(r"q\s*=", part)]
        quality = qualities[0] if qualities else "1"
        if not _RANGE.fullmatch(media_range) or not _QUALITY.fullmatch(quality):
            continue
        # Werkzeug takes a range with parameters for those parameters only.
        unlike = [part for part in parameters if _UNLIKE_OURS.match(part)]
        yield ";".join([media_range, *unlike]), float(quality)
