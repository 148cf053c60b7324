"""Responses of the Citrix-compatible API: envelopes as JSON, and the status of each refusal."""

import json
from typing import Any

from flask import Response, request

from bulkcert.api.citrix.absent_calls import name_absent_call
from bulkcert.api.citrix.envelopes import refusal_envelope
from bulkcert.errors import NotSupported, Refusal

PREFIX = "/xenmobile/api/v1"

_AS_THEY_ARE = frozenset({401, 403, 404, 405, 429})


def answer(envelope: dict[str, Any], status: int = 200) -> Response:
    """Return an envelope as JSON with its members in order, since clients of this API print it."""
    return Response(json.dumps(envelope) + "\n", status, mimetype="application/json")


def render_refusal(refusal: Refusal, status: int) -> Response:
    """Return the envelope of a refusal. status: the one that `/api/v1` has for it.

    Clients of this API know one status for an unusable request: 400. A call of the vendor's API that this
    service does not have is refused as `not_supported` by its name.
    """
    if request.routing_exception is not None:
        call = name_absent_call(request.method, request.path.partition(PREFIX)[2])
        if call is not None:
            refusal = NotSupported(f"The vendor's API has this, and this service does not: {call}.")
            status = 405 if status == 405 else 400
    if status < 500 and status not in _AS_THEY_ARE:
        status = 400
    return answer(refusal_envelope(refusal, status), status)
