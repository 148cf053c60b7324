"""From envelopes to responses: members in their order, and a status for every refusal."""

import json
from typing import Any

from flask import Response, request

from bulkcert.api.citrix.absent_calls import name_absent_call
from bulkcert.api.citrix.envelopes import refusal_envelope
from bulkcert.errors import NotSupported, Refusal

PREFIX = "/xenmobile/api/v1"

_AS_THEY_ARE = frozenset({401, 403, 404, 405, 429})


def answer(envelope: dict[str, Any], status: int = 200) -> Response:
    """Write an envelope as it stands: clients of this door print it, and its members have an order."""
    return Response(json.dumps(envelope) + "\n", status, mimetype="application/json")


def render_refusal(refusal: Refusal, status: int) -> Response:
    """Answer a refusal, given the HTTP status that door two has for it.

    Clients of this door know one status for a request that cannot be used: 400. A call of the vendor's API
    that is not here is `not_supported` by its name.
    """
    if request.routing_exception is not None:
        call = name_absent_call(request.method, request.path.partition(PREFIX)[2])
        if call is not None:
            refusal = NotSupported(f"The vendor's API has this, and this service does not: {call}.")
            status = 405 if status == 405 else 400
    if status < 500 and status not in _AS_THEY_ARE:
        status = 400
    return answer(refusal_envelope(refusal, status), status)
