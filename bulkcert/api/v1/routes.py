"""The routes of `/api/v1`; its contract is openapi.yaml."""

from flask import Blueprint

from bulkcert.api.v1 import (
    certificates,
    client_tokens,
    clients,
    deletions,
    deployments,
    imports,
    key_release,
    limits,
    negotiation,
    sessions,
    token_revocation,
    users,
    vpn_policies,
    workers,
)

blueprint = Blueprint("v1", __name__, url_prefix="/api/v1")
_PARTS = (
    sessions, client_tokens, token_revocation, users, clients, imports, deletions, certificates, key_release,
    vpn_policies, deployments, limits, workers,
)  # fmt: skip
for _part in _PARTS:
    blueprint.register_blueprint(_part.blueprint)


@blueprint.before_request
def agree_on_media_type() -> None:
    """Raise `NotAcceptable` before the view runs, if the client accepts none of its media types."""
    negotiation.media_type()
