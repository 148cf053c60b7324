"""Login and logout."""

from typing import BinaryIO, cast

from flask import Response, request

from bulkcert.api import authorization, context, tokens
from bulkcert.api.citrix import tolerant_json
from bulkcert.api.citrix.answers import answer
from bulkcert.api.citrix.members import Members
from bulkcert.errors import NotSupported
from bulkcert.values.secret import Secret


@authorization.public
def log_in() -> Response:
    """Answer login and password with a token: the one answer that has no `status`."""
    # Whatever the Content-Type says: curl -d says that JSON is a form.
    members = Members("the body", tolerant_json.read_object(cast("BinaryIO", request.stream)))
    login, password = members.required("login"), Secret(members.required("password").encode())
    session = context.service().access.log_in(login, password, request.remote_addr or "unknown")
    return answer({"auth_token": tokens.issue_token(session)})


@authorization.public
def log_in_to_cloud() -> Response:
    """Refuse: there are no OIDC issuers to trust yet."""
    raise NotSupported("Login with a bearerToken is not supported: use login and password.")


@authorization.authenticated
def log_out() -> Response:
    """End the login of the token that is shown. The body is often malformed, so it is not read."""
    caller = context.caller()
    context.service().access.log_out(caller)
    return answer({"Status": f"user {caller.login} logged out successfully."})
