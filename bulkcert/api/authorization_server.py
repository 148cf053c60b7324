"""Metadata for OAuth clients (RFC 8414).

Its addresses begin with `BULKCERT_PUBLIC_URL`, never with the Host header, which the sender chooses.
"""

from flask import Blueprint, Response, jsonify, url_for

from bulkcert.api import authorization, context
from bulkcert.api.v1.client_tokens import GRANT
from bulkcert.api.v1.views import reads
from bulkcert.errors import NotFound
from bulkcert.values.principals import Scope

_METHODS = ["client_secret_basic", "client_secret_post"]

blueprint = Blueprint("authorization_server", __name__)


@blueprint.get("/.well-known/oauth-authorization-server")
@authorization.public
@reads()
def metadata() -> Response:
    """Return the endpoints for OAuth clients. Raises `NotFound` unless the service's address is set."""
    issuer = context.service().config.public_url
    if issuer is None:
        raise NotFound("The service does not know its own address: BULKCERT_PUBLIC_URL is not set.")
    return jsonify({
        "issuer": issuer,
        "token_endpoint": issuer + url_for("v1.grant.create"),
        "token_endpoint_auth_methods_supported": _METHODS,
        "revocation_endpoint": issuer + url_for("v1.token.revoke"),
        "revocation_endpoint_auth_methods_supported": _METHODS,
        "grant_types_supported": [GRANT],
        "response_types_supported": [],  # required; there is no authorization endpoint
        "scopes_supported": sorted(Scope),
        "service_documentation": f"{issuer}/openapi.json",
    })  # fmt: skip
