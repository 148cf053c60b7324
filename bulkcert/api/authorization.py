"""Authorization: who calls, and whether they may.

Rules:
- Every view says what it needs: `@needs(...)`, `@authenticated`, `@authenticated_or_client` or `@public`. An
  app with a view that says nothing does not start, so a new route cannot be forgotten.
- A token that verifies is looked up as well, so that a revoked one ends at once. Cookies are never read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from bulkcert.api import context
from bulkcert.api.tokens import verify_token
from bulkcert.errors import InsufficientScope, Refusal, Unauthenticated
from bulkcert.values.principals import Caller, Scope

_REQUIREMENT = "_bulkcert_requirement"

_NOTHING_AT_DOOR_ONE = (
    "The request carries no header Auth_token. If the client sent one, a proxy on the way dropped it for its"
    " underscore (nginx: set underscores_in_headers on)."
)

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Requirement:
    """What a view asks of its caller. `scopes`: the token must carry all of them, and one at least.

    takes_clients: a request that may show a client's id and secret reaches the view, which checks them.
    """

    is_public: bool = False
    takes_clients: bool = False
    scopes: frozenset[Scope] = frozenset()


def needs(*scopes: Scope) -> Callable[[View], View]:
    """Let a view be called by tokens that carry all of these scopes."""
    if not scopes:
        raise ValueError("name a scope, or use @authenticated")
    return _mark(Requirement(scopes=frozenset(scopes)))


def authenticated(view: View) -> View:
    """Let a view be called by every valid token that carries any scope."""
    return _mark(Requirement())(view)


def authenticated_or_client(view: View) -> View:
    """Let a view be called by every valid token, and by clients, whose secret the view itself checks."""
    return _mark(Requirement(takes_clients=True))(view)


def public(view: View) -> View:
    """Let a view be called by anybody."""
    return _mark(Requirement(is_public=True))(view)


def _mark(requirement: Requirement) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, _REQUIREMENT, requirement)
        return view

    return mark


def requirement_of(app: Flask, endpoint: str) -> Requirement:
    """Tell what an endpoint needs; raises LookupError for one that does not say."""
    requirement: Requirement | None = getattr(app.view_functions[endpoint], _REQUIREMENT, None)
    if requirement is None:
        raise LookupError(f"{endpoint} says neither @needs(...) nor @authenticated nor @public")
    return requirement


def install(app: Flask) -> None:
    """Guard all routes of an app; raises LookupError where one does not say what it needs."""
    for rule in app.url_map.iter_rules():
        requirement_of(app, rule.endpoint)
    app.before_request(_admit)


def _admit() -> None:
    """Let the request through to its view, or refuse it before its body is read."""
    if request.endpoint is None:
        return  # no such path or method: the routing itself says so
    requirement = requirement_of(current_app, request.endpoint)
    if requirement.is_public or (requirement.takes_clients and _may_show_client()):
        return
    session = context.service().access.find_session(verify_token(shown_token()))
    g.caller = Caller(session.principal_id, session.login, session.token_id, session.scopes)
    if not session.scopes:
        g.missing_scopes = requirement.scopes
        raise InsufficientScope("The token does not carry what this path needs: any scope.")
    require(*requirement.scopes)


def require(*scopes: Scope) -> None:
    """Raise `InsufficientScope` unless the caller's token carries all of these scopes."""
    if not set(scopes) <= g.caller.scopes:
        g.missing_scopes = frozenset(scopes)
        wanted = " ".join(sorted(scopes))
        raise InsufficientScope(f"The token does not carry what this request needs: {wanted}.")


# --- where the token stands -------------------------------------------------------------------------


def shown_token() -> str:
    """Read the token of the request from the header of its door, or raise `Unauthenticated`."""
    token = _auth_token() if context.at_door_one() else _bearer_token()
    if not token:
        raise Unauthenticated(
            _NOTHING_AT_DOOR_ONE if context.at_door_one() else "The request carries no token."
        )
    return token


def _auth_token() -> str:
    # WSGI gives `Auth_token` and `Auth-Token` one name, and servers join repeated headers with a comma.
    written: str = request.environ.get("HTTP_AUTH_TOKEN", "")
    if "," in written:
        raise Unauthenticated("The request carries more than one token.")
    return written.strip()


def _bearer_token() -> str:
    """RFC 6750 §2.1; the scheme is case-insensitive (RFC 9110 §11.1)."""
    written = request.headers.get("Authorization", "")
    if not written:
        return ""
    scheme, _, token = written.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("The Authorization header is not of the form `Bearer <token>`.")
    return token.strip()


def _may_show_client() -> bool:
    """Return whether a client's id and secret stand in the header, or may stand in the body."""
    written = request.headers.get("Authorization")
    if written is None:
        return request.mimetype == "application/x-www-form-urlencoded"
    return written.partition(" ")[0].lower() == "basic"


def challenge(refusal: Refusal) -> str | None:
    """Write the WWW-Authenticate header that goes with a refusal (RFC 6750 §3), None where none does."""
    if isinstance(refusal, InsufficientScope):
        scopes = " ".join(sorted(g.get("missing_scopes", ())))
        wanted = f', scope="{scopes}"' if scopes else ""
        return f'Bearer realm="bulkcert", error="insufficient_scope"{wanted}'
    if not isinstance(refusal, Unauthenticated):
        return 'Bearer realm="bulkcert"'
    # RFC 6750 §3.1: no error code for a request that shows no token at all.
    shown = "HTTP_AUTH_TOKEN" in request.environ or "HTTP_AUTHORIZATION" in request.environ
    return 'Bearer realm="bulkcert"' + (', error="invalid_token"' if shown else "")


# --- tokens -----------------------------------------------------------------------------------------
