"""Revoke tokens (RFC 7009)."""

from flask import Blueprint, Response, request

from bulkcert.api import authorization, context, tokens
from bulkcert.api.v1.client_credentials import read_client
from bulkcert.api.v1.schemas import access
from bulkcert.api.v1.views import Values, reads
from bulkcert.errors import MalformedRequest, Unauthenticated

blueprint = Blueprint("token", __name__, url_prefix="/token")


@blueprint.post("/revoke")
@authorization.authenticated_or_client
@reads(form=access.Revocation)
def revoke(order: Values) -> Response:
    """End one of the caller's tokens; an unknown token is answered with 200 as well (§2.2)."""
    principal_id, login = _owner(order)
    try:
        token_id = tokens.verify_token(order["token"])
    except Unauthenticated:
        return Response()
    context.service().access.revoke(principal_id, login, token_id)
    return Response()


def _owner(order: Values) -> tuple[int, str]:
    """Return the id and login of the principal whose tokens this request may end (§2.1)."""
    if context.login() is None:
        client_id, secret = read_client(order)
        source = request.remote_addr or "unknown"
        client = context.service().access.authenticate_client(client_id, secret, source)
        return client.id, client.login
    if order["client_id"] or len(order["client_secret"]):
        raise MalformedRequest("The request carries a token in its header and a client in its form.")
    return context.caller().principal_id, context.caller().login
