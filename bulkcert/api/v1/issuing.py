"""The answer that holds a new token, the same for people and for machines (RFC 6749 §5.1)."""

from flask import Response, jsonify

from bulkcert.api import tokens
from bulkcert.values.principals import Session


def answer_with_token(session: Session) -> Response:
    """Sign the token of a session, and say how long it lasts and what it allows."""
    response = jsonify({
        "access_token": tokens.issue_token(session),
        "token_type": "Bearer",
        "expires_in": int((session.expires_at - session.issued_at).total_seconds()),
        "scope": " ".join(sorted(session.scopes)),
    })  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return response
