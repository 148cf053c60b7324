"""Door two, `/api/v1`: bearer tokens, JSON, problem documents, cursor pages. The contract is openapi.yaml."""

from flask import Blueprint, request

from bulkcert.api.v1 import certificates, deletions, imports, limits, sessions, token
from bulkcert.errors import NotAcceptable

blueprint = Blueprint("v1", __name__, url_prefix="/api/v1")
for _part in (sessions, token, imports, deletions, certificates, limits):
    blueprint.register_blueprint(_part.blueprint)


@blueprint.before_request
def offer_json() -> None:
    """Refuse a request that would read anything but JSON (RFC 9110 §12.5.1)."""
    offered = ["application/json", "application/problem+json"]
    if request.accept_mimetypes and request.accept_mimetypes.best_match(offered) is None:
        raise NotAcceptable("The answer is application/json, which the Accept header leaves out.")
