"""Sessions: log in, list sessions, end a session."""

from flask import Blueprint, Response, request

from bulkcert.api import authorization, context
from bulkcert.api.v1.answers import answer_with_token
from bulkcert.api.v1.request_parts import parse_name, require_scope
from bulkcert.api.v1.schemas import access
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.values.pages import Page
from bulkcert.values.principals import Caller, Scope, Session

blueprint = Blueprint("sessions", __name__, url_prefix="/sessions")


@blueprint.post("")
@authorization.public
@reads(body=access.Login)
def create(order: Values) -> Response:
    """Exchange login and password for a token."""
    source = request.remote_addr or "unknown"
    return answer_with_token(context.service().access.log_in(order["login"], order["password"], source))


@blueprint.get("")
@authorization.authenticated
@reads(query=access.SessionsQuery)
@answers(access.Session)
def index(query: Values) -> Page[Session]:
    """List the live sessions of the caller, or of all principals."""
    of: Caller | None = context.caller()
    if query.pop("all") == "true":
        require_scope(Scope.ADMIN, "`all`")
        of = None
    return context.service().accounts.sessions(of, **query)


@blueprint.delete("/<session_id>")
@authorization.authenticated
@reads()
def end(session_id: str) -> Response:
    """End a session of the caller, or any session where the token carries `admin`."""
    caller = context.caller()
    of = None if Scope.ADMIN in caller.scopes else caller
    context.service().accounts.revoke_session(parse_name(session_id, "session"), of, caller.login)
    return Response(status=204)
