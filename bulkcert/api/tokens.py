"""Access tokens: the only module that uses JWT.

Tokens are signed with Ed25519 (RFC 8037) and have the type `at+jwt` (RFC 9068). The algorithm is pinned
(RFC 8725 §3.1). `kid` selects one of our own keys; `jku`, `x5u` and `jwk` are ignored.
"""

import jwt

from bulkcert.api import context
from bulkcert.errors import Unauthenticated
from bulkcert.values.principals import Session

ISSUER = "bulkcert"
AUDIENCE = "bulkcert-api"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068 §2.1
_ALGORITHM = "EdDSA"
_LONGEST_TOKEN = 4096  # our tokens have about 800 characters
_REQUIRED_CLAIMS = ["iss", "aud", "sub", "iat", "exp", "jti", "scope"]


def issue_token(session: Session) -> str:
    """Sign the token of a session: three base64url parts, about 800 characters."""
    key_id, private_pem = context.service().access.signing_key()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(session.principal_id),
        "iat": session.issued_at,
        "exp": session.expires_at,
        "jti": session.token_id,
        "scope": " ".join(sorted(session.scopes)),
    }
    headers = {"typ": TOKEN_TYPE, "kid": key_id}
    return jwt.encode(claims, private_pem.reveal(), algorithm=_ALGORITHM, headers=headers)


def verify_token(token: str) -> str:
    """Check signature, type and claims of a token, and return its id (`jti`). Raises `Unauthenticated`.

    `Access.find_session` then checks that the session was not revoked.
    """
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        raise Unauthenticated("The token is not one of this service.")
    try:
        claims = jwt.decode(
            token,
            _key_of(token),
            algorithms=[_ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            # The clocks of two API machines may differ, so a token may be issued slightly in the future.
            options={"require": _REQUIRED_CLAIMS, "strict_aud": True, "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The token has ended.") from None
    except jwt.PyJWTError:
        raise Unauthenticated("The token is not one of this service.") from None
    return str(claims["jti"])


def _key_of(token: str) -> bytes:
    """Return the one of our public keys (PEM) that `kid` names."""
    header = jwt.get_unverified_header(token)
    if header.get("typ") != TOKEN_TYPE or "crit" in header:
        raise Unauthenticated("The token is not one of this service.")
    public_pem = context.service().access.public_keys().get(header.get("kid", ""))
    if public_pem is None:
        raise Unauthenticated("The token is not one of this service.")
    return public_pem
