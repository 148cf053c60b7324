"""From envelopes to responses: members in their order, and a status for every refusal."""

import json
from typing import Any

from flask import Response

from bulkcert.api.citrix.envelopes import refusal_envelope
from bulkcert.errors import Refusal

_AS_THEY_ARE = frozenset({401, 403, 404, 405, 429})


def answer(envelope: dict[str, Any], status: int = 200) -> Response:
    """Write an envelope as it stands: clients of this door print it, and its members have an order."""
    return Response(json.dumps(envelope) + "\n", status, mimetype="application/json")


def render_refusal(refusal: Refusal, status: int) -> Response:
    """Answer a refusal, given the HTTP status that door two has for it.

    Clients of this door know one status for a request that cannot be used: 400.
    """
    if status < 500 and status not in _AS_THEY_ARE:
        status = 400
    return answer(refusal_envelope(refusal, status), status)
