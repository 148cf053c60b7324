"""What a view demands of its caller beyond the scopes that it states, once it knows what is asked."""

from flask import g

from bulkcert.api import context
from bulkcert.errors import InsufficientScope
from bulkcert.values.principals import Scope


def demand(scope: Scope, what_for: str) -> None:
    """Raise `InsufficientScope` where the caller's token does not carry a scope."""
    if scope not in context.caller().scopes:
        g.missing_scopes = frozenset({scope})
        raise InsufficientScope(f"The token does not carry what {what_for} needs: {scope}.")
