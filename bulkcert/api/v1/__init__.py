"""Door two, `/api/v1`: bearer tokens, JSON, problem documents, cursor pages. The contract is openapi.yaml."""

from flask import Blueprint

from bulkcert.api.v1 import (
    certificates,
    clients,
    deletions,
    grant,
    imports,
    limits,
    negotiation,
    release,
    sessions,
    token,
    users,
)

blueprint = Blueprint("v1", __name__, url_prefix="/api/v1")
for _part in (sessions, grant, token, users, clients, imports, deletions, certificates, release, limits):
    blueprint.register_blueprint(_part.blueprint)


@blueprint.before_request
def agree_on_media_type() -> None:
    """Refuse a request that would read nothing of what its view writes, before anything is done."""
    negotiation.media_type()
