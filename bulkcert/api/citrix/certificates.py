"""The list of certificates, which has no pages."""

from collections.abc import Iterator

from flask import Response

from bulkcert.api import context
from bulkcert.api.authorization import needs
from bulkcert.api.citrix.envelopes import certificates_envelope
from bulkcert.values.principals import Scope


@needs(Scope.CERTIFICATES_READ)
def list_certificates() -> Response:
    """Stream all current certificates. A list that breaks off is no JSON document, so clients notice."""
    service = context.service()
    pieces = certificates_envelope(service.inventory.current_certificates(), service.now())
    # Query the database before the status line is sent, so that a refusal still gets its own status.
    first = next(pieces) + next(pieces)
    return Response(_stream(first, pieces), mimetype="application/json")


def _stream(first: str, pieces: Iterator[str]) -> Iterator[str]:
    yield first
    yield from pieces
