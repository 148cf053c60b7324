"""Login and logout of the Citrix-compatible API."""

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
    """Exchange login and password for a token; only this answer has no `status`."""
    # The Content-Type is ignored: `curl -d` sends JSON as a form.
    members = Members("the body", tolerant_json.read_object(cast("BinaryIO", request.stream)))
    login, password = members.required("login"), Secret(members.required("password").encode())
    session = context.service().access.log_in(login, password, request.remote_addr or "unknown")
    return answer({"auth_token": tokens.issue_token(session)})


@authorization.public
def log_in_to_cloud() -> Response:
    """Raise `NotSupported`: the service trusts no OIDC issuer."""
    raise NotSupported("Login with a bearerToken is not supported: use login and password.")


@authorization.authenticated
def log_out() -> Response:
    """Revoke the token of the request. The body is often malformed, so it is not read."""
    caller = context.caller()
    context.service().access.log_out(caller)
    return answer({"Status": f"user {caller.login} logged out successfully."})
