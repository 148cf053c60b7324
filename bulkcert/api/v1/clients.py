"""Machine clients and their secrets."""

from datetime import timedelta

from flask import Blueprint, Response, jsonify, request

from bulkcert.api import auth, current
from bulkcert.api.reading import read_json, read_query
from bulkcert.api.v1 import access_schemas, ids, pages, schemas
from bulkcert.values.principals import Scope

blueprint = Blueprint("clients", __name__, url_prefix="/clients")


@blueprint.post("")
@auth.needs(Scope.ADMIN)
def create() -> Response:
    """Make a client; its secret is in this answer and nowhere else."""
    read_query(schemas.Nothing())
    order = read_json(access_schemas.NewClient())
    caller = current.caller()
    made = current.service().accounts.create_client(
        order["name"], frozenset(order["scopes"]), caller.login, caller
    )
    response = jsonify(access_schemas.IssuedClient().dump(made))
    response.status_code = 201
    return response


@blueprint.get("")
@auth.needs(Scope.ADMIN)
def index() -> Response:
    """List clients, the oldest first."""
    page = current.service().accounts.clients(**read_query(schemas.PageQuery()))
    return jsonify(pages.write(page, access_schemas.Client()))


@blueprint.post("/<client_id>/rotate")
@auth.needs(Scope.ADMIN)
def rotate(client_id: str) -> Response:
    """Give a client another secret; the one before works on for a while."""
    read_query(schemas.Nothing())
    order = read_json(access_schemas.Rotation()) if _has_body() else access_schemas.Rotation().load({})
    caller = current.caller()
    issued = current.service().accounts.rotate_client(
        ids.word(client_id, "client"),
        timedelta(seconds=order["overlap_seconds"]),
        caller.login,
        caller,
    )
    return jsonify(access_schemas.IssuedClient().dump(issued))


@blueprint.post("/<client_id>/disable")
@auth.needs(Scope.ADMIN)
def disable(client_id: str) -> Response:
    """Disable a client."""
    read_query(schemas.Nothing())
    caller = current.caller()
    client = current.service().accounts.disable_client(ids.word(client_id, "client"), caller.login, caller)
    return jsonify(access_schemas.Client().dump(client))


def _has_body() -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers
