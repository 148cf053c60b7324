"""Machine clients and their secrets."""

from datetime import timedelta

from flask import Blueprint, Response, jsonify, request

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.request_parts import parse_name
from bulkcert.api.v1.schemas import access, pages
from bulkcert.values.principals import Scope

blueprint = Blueprint("clients", __name__, url_prefix="/clients")


@blueprint.post("")
@authorization.needs(Scope.ADMIN)
def create() -> Response:
    """Make a client; its secret is in this answer and nowhere else."""
    read_query(pages.Nothing())
    order = read_json(access.NewClient())
    caller = context.caller()
    made = context.service().accounts.create_client(
        order["name"], frozenset(order["scopes"]), caller.login, caller
    )
    response = jsonify(access.IssuedClient().dump(made))
    response.status_code = 201
    return response


@blueprint.get("")
@authorization.needs(Scope.ADMIN)
def index() -> Response:
    """List clients, the oldest first."""
    page = context.service().accounts.clients(**read_query(pages.PageQuery()))
    return jsonify(dump_page(page, access.Client()))


@blueprint.post("/<client_id>/rotate")
@authorization.needs(Scope.ADMIN)
def rotate(client_id: str) -> Response:
    """Give a client another secret; the one before works on for a while."""
    read_query(pages.Nothing())
    order = read_json(access.Rotation()) if _has_body() else access.Rotation().load({})
    caller = context.caller()
    issued = context.service().accounts.rotate_client(
        parse_name(client_id, "client"),
        timedelta(seconds=order["overlap_seconds"]),
        caller.login,
        caller,
    )
    return jsonify(access.IssuedClient().dump(issued))


@blueprint.post("/<client_id>/disable")
@authorization.needs(Scope.ADMIN)
def disable(client_id: str) -> Response:
    """Disable a client."""
    read_query(pages.Nothing())
    caller = context.caller()
    client = context.service().accounts.disable_client(parse_name(client_id, "client"), caller.login, caller)
    return jsonify(access.Client().dump(client))


def _has_body() -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers
