"""The answers that several views share: pages of a list, tokens (RFC 6749 §5.1) and profiles."""

from typing import Any

from flask import Response, jsonify
from marshmallow import Schema

from bulkcert.api import tokens
from bulkcert.values.pages import Page
from bulkcert.values.principals import Session
from bulkcert.values.secret import Secret

PROFILE = "application/x-apple-aspen-config"
"""The media type of a configuration profile."""


def dump_page(page: Page[Any], schema: Schema) -> dict[str, Any]:
    """Return the members of a page of a list, and the cursor of the next page (null at the end)."""
    return {"items": schema.dump(page.items, many=True), "next_cursor": page.next_cursor}


def answer_with_token(session: Session) -> Response:
    """Return the signed token of a session, its lifetime in seconds and its scopes (RFC 6749 §5.1)."""
    response = jsonify({
        "access_token": tokens.issue_token(session),
        "token_type": "Bearer",
        "expires_in": int((session.expires_at - session.issued_at).total_seconds()),
        "scope": " ".join(sorted(session.scopes)),
    })  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return response


def answer_with_profile(content: Secret, fingerprint_sha256: str) -> Response:
    """Return a profile, which no cache may store because it holds a key.

    The header X-Certificate-Sha256 names the certificate inside; the report of an installation repeats it.
    """
    response = Response(content.reveal(), mimetype=PROFILE)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Certificate-Sha256"] = fingerprint_sha256
    return response
