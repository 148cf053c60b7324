"""Revoke tokens (RFC 7009)."""

from flask import Blueprint, Response

from bulkcert.api import auth, current
from bulkcert.api.reading import read_query, read_urlencoded
from bulkcert.api.v1 import schemas
from bulkcert.errors import Unauthenticated

blueprint = Blueprint("token", __name__, url_prefix="/token")


@blueprint.post("/revoke")
@auth.authenticated
def revoke() -> Response:
    """End one of the caller's tokens; 200 also where there is none to end (§2.2)."""
    read_query(schemas.Nothing())
    order = read_urlencoded(schemas.Revocation())
    try:
        token_id = auth.verify_token(order["token"])
    except Unauthenticated:
        return Response()
    current.service().access.revoke(current.caller(), token_id)
    return Response()
