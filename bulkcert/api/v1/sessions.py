"""Log in."""

from flask import Blueprint, Response, jsonify, request

from bulkcert.api import auth, current
from bulkcert.api.reading import read_json, read_query
from bulkcert.api.v1 import schemas

blueprint = Blueprint("sessions", __name__)


@blueprint.post("/sessions")
@auth.public
def create() -> Response:
    """Exchange login and password for a token."""
    read_query(schemas.Nothing())
    order = read_json(schemas.Login())
    session = current.service().access.log_in(
        order["login"], order["password"], request.remote_addr or "unknown"
    )
    return jsonify({
        "access_token": auth.issue_token(session),
        "token_type": "Bearer",
        "expires_in": int((session.expires_at - session.issued_at).total_seconds()),
        "scope": " ".join(sorted(session.scopes)),
    })  # fmt: skip
