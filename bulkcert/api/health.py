"""Health of the process, for load balancers and people on call."""

from flask import Blueprint, Response, jsonify

from bulkcert.api import authorization, context
from bulkcert.errors import Unavailable

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
@authorization.public
def live() -> Response:
    """Answer as long as the process runs."""
    return jsonify({"status": "live"})


@blueprint.get("/ready")
@authorization.public
def ready() -> Response:
    """Answer 200 if the database answers, else 503."""
    if not context.service().is_ready():
        raise Unavailable("The database does not answer.")
    return jsonify({"status": "ready"})
