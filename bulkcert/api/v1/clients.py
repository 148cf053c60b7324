"""Machine clients and their secrets."""

from datetime import timedelta

from flask import Blueprint, request

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json
from bulkcert.api.v1.request_parts import parse_name
from bulkcert.api.v1.schemas import access, pages
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.values.pages import Page
from bulkcert.values.principals import IssuedClient, Principal, Scope

blueprint = Blueprint("clients", __name__, url_prefix="/clients")


@blueprint.post("")
@authorization.needs(Scope.ADMIN)
@reads(body=access.NewClient)
@answers(access.IssuedClient, status=201)
def create(order: Values) -> IssuedClient:
    """Create a client; no other answer shows its secret."""
    caller, scopes = context.caller(), frozenset(order["scopes"])
    return context.service().accounts.create_client(order["name"], scopes, caller.login, caller)


@blueprint.get("")
@authorization.needs(Scope.ADMIN)
@reads(query=pages.PageQuery)
@answers(access.Client)
def index(query: Values) -> Page[Principal]:
    """List clients, the oldest first."""
    return context.service().accounts.clients(**query)


@blueprint.post("/<client_id>/rotate")
@authorization.needs(Scope.ADMIN)
@reads()
@answers(access.IssuedClient)
def rotate(client_id: str) -> IssuedClient:
    """Replace the secret of a client; the old secret stays valid for a while. The body may be left out."""
    order = read_json(access.Rotation()) if _has_body() else access.Rotation().load({})
    name, overlap = parse_name(client_id, "client"), timedelta(seconds=order["overlap_seconds"])
    caller = context.caller()
    return context.service().accounts.rotate_client(name, overlap, caller.login, caller)


@blueprint.post("/<client_id>/disable")
@authorization.needs(Scope.ADMIN)
@reads()
@answers(access.Client)
def disable(client_id: str) -> Principal:
    """Disable a client."""
    caller, name = context.caller(), parse_name(client_id, "client")
    return context.service().accounts.disable_client(name, caller.login, caller)


def _has_body() -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers
