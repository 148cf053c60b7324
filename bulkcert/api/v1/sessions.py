"""Sessions: log in, see where one is logged in, end one."""

from flask import Blueprint, Response, jsonify, request

from bulkcert.api import auth, current
from bulkcert.api.reading import read_json, read_query
from bulkcert.api.v1 import access_schemas, ids, pages, schemas
from bulkcert.api.v1.demands import demand
from bulkcert.api.v1.issuing import answer_with_token
from bulkcert.values.principals import Scope

blueprint = Blueprint("sessions", __name__, url_prefix="/sessions")


@blueprint.post("")
@auth.public
def create() -> Response:
    """Exchange login and password for a token."""
    read_query(schemas.Nothing())
    order = read_json(schemas.Login())
    session = current.service().access.log_in(
        order["login"], order["password"], request.remote_addr or "unknown"
    )
    return answer_with_token(session)


@blueprint.get("")
@auth.authenticated
def index() -> Response:
    """List the caller's live sessions, or everybody's."""
    query = read_query(access_schemas.SessionsQuery())
    everybodys = query.pop("all") == "true"
    if everybodys:
        demand(Scope.ADMIN, "`all`")
    page = current.service().accounts.sessions(None if everybodys else current.caller(), **query)
    return jsonify(pages.write(page, access_schemas.Session()))


@blueprint.delete("/<session_id>")
@auth.authenticated
def end(session_id: str) -> Response:
    """End a session: one of the caller's own, or anybody's where the token carries `admin`."""
    read_query(schemas.Nothing())
    caller = current.caller()
    of = None if Scope.ADMIN in caller.scopes else caller
    current.service().accounts.revoke_session(ids.word(session_id, "session"), of, caller.login)
    return Response(status=204)
