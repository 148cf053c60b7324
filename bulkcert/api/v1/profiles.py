"""The answer that is a profile: secret material, so that nobody on the way keeps it."""

from flask import Response

from bulkcert.values.secret import Secret

MEDIA_TYPE = "application/x-apple-aspen-config"


def answer_with_profile(content: Secret, fingerprint_sha256: str) -> Response:
    """Hand a profile out; the header names the certificate in it, which a report of it shows again."""
    response = Response(content.reveal(), mimetype=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Certificate-Sha256"] = fingerprint_sha256
    return response
