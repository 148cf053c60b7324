"""The list of certificates, which has no pages."""

from collections.abc import Iterator

from flask import Response

from bulkcert.api import context
from bulkcert.api.authorization import needs
from bulkcert.api.citrix.envelopes import certificates_envelope
from bulkcert.values.principals import Scope


@needs(Scope.CERTIFICATES_READ)
def list_certificates() -> Response:
    """Stream every current certificate; what breaks off on the way is not a JSON document."""
    service = context.service()
    pieces = certificates_envelope(service.inventory.current_certificates(), service.now())
    # The database is asked before the status line is written, so that a refusal still has its own.
    first = next(pieces) + next(pieces)
    return Response(_stream(first, pieces), mimetype="application/json")


def _stream(first: str, pieces: Iterator[str]) -> Iterator[str]:
    yield first
    yield from pieces
