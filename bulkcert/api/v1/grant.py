"""Tokens for machines: OAuth 2.0 client credentials (RFC 6749 §4.4)."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus

from flask import Blueprint, Response, json, request

from bulkcert.api import auth, current, problems
from bulkcert.api.reading import read_query, read_urlencoded
from bulkcert.api.v1 import access_schemas, schemas
from bulkcert.api.v1.issuing import answer_with_token
from bulkcert.errors import (
    InvalidScope,
    MalformedRequest,
    NotSupported,
    Refusal,
    UnsupportedMediaType,
    WrongCredentials,
)
from bulkcert.secret import Secret

_GRANT = "client_credentials"
_LONGEST_BASIC = 1024
_ERRORS: dict[type[Refusal], str] = {
    MalformedRequest: "invalid_request",
    UnsupportedMediaType: "invalid_request",
    NotSupported: "unsupported_grant_type",
    InvalidScope: "invalid_scope",
    WrongCredentials: "invalid_client",
}
"""RFC 6749 §5.2. What else can go wrong has no word there."""

blueprint = Blueprint("grant", __name__)


@blueprint.post("/token")
@auth.public
def create() -> Response:
    """Exchange a client's id and secret for a token."""
    read_query(schemas.Nothing())
    order = read_urlencoded(access_schemas.ClientCredentials())
    if not order["grant_type"]:
        raise MalformedRequest("The form does not say the grant_type.")
    if order["grant_type"] != _GRANT:
        raise NotSupported(f"The grant_type is not {_GRANT}.")
    client_id, secret = _credentials(order)
    source = request.remote_addr or "unknown"
    session = current.service().access.log_in_client(client_id, secret, order["scope"], source)
    return answer_with_token(session)


def _credentials(order: dict[str, Any]) -> tuple[str, Secret]:
    """Read the client's id and secret from the header or the form, but not from both (RFC 6749 §2.3)."""
    written = request.headers.get("Authorization")
    in_form: Secret = order["client_secret"]
    if written is None:
        if not order["client_id"] or not len(in_form):
            raise WrongCredentials("The request carries no client id and secret.")
        return order["client_id"], in_form
    if len(in_form):  # an empty one counts as left out (RFC 6749 §3.2)
        raise MalformedRequest("The client secret stands in the header and in the form.")
    client_id, secret = _read_basic(written)
    if order["client_id"] not in {"", client_id}:
        raise MalformedRequest("The header and the form name different clients.")
    return client_id, secret


def _read_basic(written: str) -> tuple[str, Secret]:
    """Read an Authorization header (RFC 7617 §2) whose parts are form-encoded (RFC 6749 §2.3.1)."""
    scheme, _, encoded = written.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _LONGEST_BASIC:
        raise WrongCredentials("The Authorization header is not of the form `Basic <id:secret>`.")
    try:
        both = base64.b64decode(encoded.strip(), validate=True).decode()
        client_id, colon, secret = both.partition(":")
        parts = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeError, ValueError):
        raise WrongCredentials("The Authorization header cannot be read.") from None
    if not colon or not parts[0] or "\x00" in parts[0]:
        raise WrongCredentials("The Authorization header holds no client id and secret.")
    return parts[0], Secret(parts[1].encode())


def _answer(refusal: Refusal) -> Response:
    """Write the problem document with the member `error`, which OAuth clients look for."""
    response = problems.render_problem(refusal, problems.status_of(refusal))
    document = {"error": _ERRORS[type(refusal)], **json.loads(response.data)}
    response.set_data(json.dumps(document))
    if isinstance(refusal, WrongCredentials):
        response.headers["WWW-Authenticate"] = 'Basic realm="bulkcert"'
    return response


for _refusal in _ERRORS:
    blueprint.register_error_handler(_refusal, _answer)
