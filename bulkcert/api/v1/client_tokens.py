"""Tokens for machines: OAuth 2.0 client credentials (RFC 6749 §4.4)."""

from flask import Blueprint, Response, request

from bulkcert.api import authorization, context
from bulkcert.api.v1.answers import answer_with_token
from bulkcert.api.v1.client_credentials import read_client
from bulkcert.api.v1.schemas import access
from bulkcert.api.v1.views import Values, reads
from bulkcert.errors import MalformedRequest, NotSupported

GRANT = "client_credentials"

blueprint = Blueprint("grant", __name__)


@blueprint.post("/token")
@authorization.public
@reads(form=access.ClientCredentials)
def create(order: Values) -> Response:
    """Exchange a client's id and secret for a token."""
    if not order["grant_type"]:
        raise MalformedRequest("The form does not say the grant_type.")
    if order["grant_type"] != GRANT:
        raise NotSupported(f"The grant_type is not {GRANT}.")
    client_id, secret = read_client(order)
    source = request.remote_addr or "unknown"
    session = context.service().access.log_in_client(client_id, secret, order["scope"], source)
    return answer_with_token(session)
