"""Sessions: log in, see where one is logged in, end one."""

from flask import Blueprint, Response, jsonify, request

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1.answers import answer_with_token, dump_page
from bulkcert.api.v1.request_parts import parse_name, require_scope
from bulkcert.api.v1.schemas import access, pages
from bulkcert.values.principals import Scope

blueprint = Blueprint("sessions", __name__, url_prefix="/sessions")


@blueprint.post("")
@authorization.public
def create() -> Response:
    """Exchange login and password for a token."""
    read_query(pages.Nothing())
    order = read_json(access.Login())
    session = context.service().access.log_in(
        order["login"], order["password"], request.remote_addr or "unknown"
    )
    return answer_with_token(session)


@blueprint.get("")
@authorization.authenticated
def index() -> Response:
    """List the caller's live sessions, or everybody's."""
    query = read_query(access.SessionsQuery())
    everybodys = query.pop("all") == "true"
    if everybodys:
        require_scope(Scope.ADMIN, "`all`")
    page = context.service().accounts.sessions(None if everybodys else context.caller(), **query)
    return jsonify(dump_page(page, access.Session()))


@blueprint.delete("/<session_id>")
@authorization.authenticated
def end(session_id: str) -> Response:
    """End a session: one of the caller's own, or anybody's where the token carries `admin`."""
    read_query(pages.Nothing())
    caller = context.caller()
    of = None if Scope.ADMIN in caller.scopes else caller
    context.service().accounts.revoke_session(parse_name(session_id, "session"), of, caller.login)
    return Response(status=204)
