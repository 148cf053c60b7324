"""Where NanoMDM tells what devices say. No token: the signature over the body says who sends it."""

from flask import Blueprint, Response, request

from bulkcert.api import authorization, context

_MOST_BYTES = 1024 * 1024
_BLOCK_BYTES = 64 * 1024

blueprint = Blueprint("mdm", __name__, url_prefix="/mdm/nanomdm")


@blueprint.post("/webhook")
@authorization.public
def webhook() -> Response:
    """Take an event: 200 with nothing more."""
    request.max_content_length = _MOST_BYTES + 1  # Werkzeug's streams refuse the last byte that they allow
    body = b"".join(iter(lambda: request.stream.read(_BLOCK_BYTES), b""))
    context.service().mdm.take(body, request.headers.get("X-Hmac-Signature"))
    return Response(status=200)
