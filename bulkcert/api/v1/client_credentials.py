"""The id and secret of a machine client, from the Authorization header or the form (RFC 6749 §2.3.1)."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus

from flask import request

from bulkcert.errors import MalformedRequest, WrongCredentials
from bulkcert.values.secret import Secret

_LONGEST_BASIC = 1024


def read_client(form: dict[str, Any]) -> tuple[str, Secret]:
    """Return id and secret. `form` holds `client_id` (text) and `client_secret` (Secret), empty if left out.

    Raises WrongCredentials without a usable pair, and MalformedRequest if the request uses both places
    (RFC 6749 §2.3: one method of authentication in each request).
    """
    written = request.headers.get("Authorization")
    in_form: Secret = form["client_secret"]
    if written is None:
        if not form["client_id"] or not len(in_form):
            raise WrongCredentials("The request carries no client id and secret.")
        return form["client_id"], in_form
    if len(in_form):  # an empty one counts as left out (RFC 6749 §3.2)
        raise MalformedRequest("The client secret stands in the header and in the form.")
    client_id, secret = _read_basic(written)
    if form["client_id"] not in {"", client_id}:
        raise MalformedRequest("The header and the form name different clients.")
    return client_id, secret


def _read_basic(written: str) -> tuple[str, Secret]:
    """Parse an Authorization header (RFC 7617 §2) whose parts are form-encoded (RFC 6749 §2.3.1)."""
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
