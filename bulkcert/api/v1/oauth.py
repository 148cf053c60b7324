"""Refusals for OAuth 2.0 clients: problem documents with `error` and `error_description`.

The codes are those of RFC 6749 §5.2 (also used by RFC 7009 §2.2.1) and of RFC 6750 §3.1 for bearer tokens.
For a busy or faulty service they are those of RFC 6749 §4.1.2.1, since §5.2 has none.
"""

import re

from flask import Response, json

from bulkcert import errors
from bulkcert.api import problems
from bulkcert.errors import Refusal

PATHS = "/api/v1/token"
"""The prefix of the endpoints for OAuth clients."""

_WORDS: dict[type[Refusal], str] = {
    errors.MalformedRequest: "invalid_request",
    errors.UnsupportedMediaType: "invalid_request",
    errors.NotAcceptable: "invalid_request",
    errors.BundleTooLarge: "invalid_request",
    errors.MethodNotAllowed: "invalid_request",
    errors.NotSupported: "unsupported_grant_type",
    errors.InvalidScope: "invalid_scope",
    errors.WrongCredentials: "invalid_client",
    errors.Unauthenticated: "invalid_token",
    errors.InsufficientScope: "insufficient_scope",
    errors.TooManyRequests: "temporarily_unavailable",
    errors.Unavailable: "temporarily_unavailable",
    errors.StorageFull: "temporarily_unavailable",
    errors.InternalFault: "server_error",
}
_NOT_ALLOWED = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def render_refusal(refusal: Refusal, status: int) -> Response:
    """Return the problem document of a refusal with the members that OAuth clients read."""
    response = problems.render_problem(refusal, status)
    word = next((_WORDS[kind] for kind in type(refusal).__mro__ if kind in _WORDS), None)
    if word is not None:
        members = {"error": word, "error_description": describe(refusal)}
        response.set_data(json.dumps(members | response.get_json()) + "\n")
    if isinstance(refusal, errors.WrongCredentials):
        response.headers["WWW-Authenticate"] = 'Basic realm="bulkcert"'
    return response


def describe(refusal: Refusal) -> str:
    """Return cause and remedy of a refusal in the characters that `error_description` allows (§5.2)."""
    return _NOT_ALLOWED.sub("'", refusal.in_one_line(refusal.remedy))
