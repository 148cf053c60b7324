"""Authorization: the caller of a request, and the scopes that its view needs.

Rules:
- Every view has a requirement: `@needs(...)`, `@authenticated`, `@authenticated_or_client` or `@public`. An
  app with a view without one does not start, so no route is left open by mistake.
- The session of a valid token is read from the database too, so that a revocation counts at once.
- Cookies are never read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from bulkcert.api import context
from bulkcert.api.parsing import FORM
from bulkcert.api.tokens import verify_token
from bulkcert.errors import InsufficientScope, Refusal, Unauthenticated
from bulkcert.values.principals import Caller, Scope

_REQUIREMENT = "_bulkcert_requirement"

_HEADER_MISSING = (
    "The request carries no header Auth_token. If the client sent one, a proxy on the way dropped it for its"
    " underscore (nginx: set underscores_in_headers on)."
)

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Requirement:
    """The requirement of a view. scopes: the token must carry all of these, and at least one scope at all.

    takes_clients: a request that may carry a client's id and secret reaches the view, which checks them.
    """

    is_public: bool = False
    takes_clients: bool = False
    scopes: frozenset[Scope] = frozenset()


def needs(*scopes: Scope) -> Callable[[View], View]:
    """Return a decorator: only a token with all of these scopes may call the view."""
    if not scopes:
        raise ValueError("name a scope, or use @authenticated")
    return _mark(Requirement(scopes=frozenset(scopes)))


def authenticated(view: View) -> View:
    """Mark a view that any valid token with any scope may call."""
    return _mark(Requirement())(view)


def authenticated_or_client(view: View) -> View:
    """Mark a view that any valid token may call, and any client; the view checks the client's secret."""
    return _mark(Requirement(takes_clients=True))(view)


def public(view: View) -> View:
    """Mark a view that anybody may call."""
    return _mark(Requirement(is_public=True))(view)


def _mark(requirement: Requirement) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, _REQUIREMENT, requirement)
        return view

    return mark


def requirement_of(app: Flask, endpoint: str) -> Requirement:
    """Return the requirement of an endpoint. Raises LookupError for a view without one."""
    requirement: Requirement | None = getattr(app.view_functions[endpoint], _REQUIREMENT, None)
    if requirement is None:
        raise LookupError(f"{endpoint} says neither @needs(...) nor @authenticated nor @public")
    return requirement


def install(app: Flask) -> None:
    """Guard all routes of an app. Raises LookupError for a view without a requirement."""
    for rule in app.url_map.iter_rules():
        requirement_of(app, rule.endpoint)
    app.before_request(_admit)


def _admit() -> None:
    """Check the requirement of the view before the body is read."""
    if request.endpoint is None:
        return  # the router refuses an unknown path or method
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


# --- the token in the request -----------------------------------------------------------------------


def shown_token() -> str:
    """Return the token in the header that the API of this request uses. Raises `Unauthenticated`."""
    token = _auth_token() if context.is_citrix_request() else _bearer_token()
    if not token:
        raise Unauthenticated(
            _HEADER_MISSING if context.is_citrix_request() else "The request carries no token."
        )
    return token


def _auth_token() -> str:
    # In WSGI `Auth_token` and `Auth-Token` have the same name, and servers join repeated headers by a comma.
    written: str = request.environ.get("HTTP_AUTH_TOKEN", "")
    if "," in written:
        raise Unauthenticated("The request carries more than one token.")
    return written.strip()


def _bearer_token() -> str:
    """Return the bearer token (RFC 6750 §2.1); the scheme is case-insensitive (RFC 9110 §11.1)."""
    written = request.headers.get("Authorization", "")
    if not written:
        return ""
    scheme, _, token = written.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("The Authorization header is not of the form `Bearer <token>`.")
    return token.strip()


def _may_show_client() -> bool:
    """Return whether the header holds a client's id and secret, or the body may hold them."""
    written = request.headers.get("Authorization")
    if written is None:
        return request.mimetype == FORM
    return written.partition(" ")[0].lower() == "basic"


def challenge(refusal: Refusal) -> str | None:
    """Return the WWW-Authenticate header for a 401 or 403 (RFC 6750 §3)."""
    if isinstance(refusal, InsufficientScope):
        scopes = " ".join(sorted(g.get("missing_scopes", ())))
        wanted = f', scope="{scopes}"' if scopes else ""
        return f'Bearer realm="bulkcert", error="insufficient_scope"{wanted}'
    if not isinstance(refusal, Unauthenticated):
        return 'Bearer realm="bulkcert"'
    # RFC 6750 §3.1: a request without any token gets no error code.
    shown = "HTTP_AUTH_TOKEN" in request.environ or "HTTP_AUTHORIZATION" in request.environ
    return 'Bearer realm="bulkcert"' + (', error="invalid_token"' if shown else "")
