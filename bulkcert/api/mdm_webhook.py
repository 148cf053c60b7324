"""The webhook of NanoMDM: events of devices. Instead of a token, the body is signed."""

from flask import Blueprint, Response, request

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_body

_MOST_BYTES = 1024 * 1024

blueprint = Blueprint("mdm", __name__, url_prefix="/mdm/nanomdm")


@blueprint.post("/webhook")
@authorization.public
def webhook() -> Response:
    """Accept an event; the answer is an empty 200."""
    context.service().mdm.take(read_body(_MOST_BYTES), request.headers.get("X-Hmac-Signature"))
    return Response(status=200)
