"""Sessions: log in, see where one is logged in, end one."""

from flask import Blueprint, Response, jsonify, request

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1 import ids, pages
from bulkcert.api.v1.demands import demand
from bulkcert.api.v1.issuing import answer_with_token
from bulkcert.api.v1.schemas import access as access_schemas
from bulkcert.api.v1.schemas import imports as schemas
from bulkcert.values.principals import Scope

blueprint = Blueprint("sessions", __name__, url_prefix="/sessions")


@blueprint.post("")
@authorization.public
def create() -> Response:
    """Exchange login and password for a token."""
    read_query(schemas.Nothing())
    order = read_json(schemas.Login())
    session = context.service().access.log_in(
        order["login"], order["password"], request.remote_addr or "unknown"
    )
    return answer_with_token(session)


@blueprint.get("")
@authorization.authenticated
def index() -> Response:
    """List the caller's live sessions, or everybody's."""
    query = read_query(access_schemas.SessionsQuery())
    everybodys = query.pop("all") == "true"
    if everybodys:
        demand(Scope.ADMIN, "`all`")
    page = context.service().accounts.sessions(None if everybodys else context.caller(), **query)
    return jsonify(pages.write(page, access_schemas.Session()))


@blueprint.delete("/<session_id>")
@authorization.authenticated
def end(session_id: str) -> Response:
    """End a session: one of the caller's own, or anybody's where the token carries `admin`."""
    read_query(schemas.Nothing())
    caller = context.caller()
    of = None if Scope.ADMIN in caller.scopes else caller
    context.service().accounts.revoke_session(ids.word(session_id, "session"), of, caller.login)
    return Response(status=204)
