"""The limits of this installation."""

import dataclasses

from flask import Blueprint

from bulkcert.api import authorization, context
from bulkcert.api.v1.views import Values, reads

blueprint = Blueprint("limits", __name__)


@blueprint.get("/limits")
@authorization.authenticated
@reads()
def show() -> Values:
    """Show every limit, by name."""
    return dataclasses.asdict(context.service().limits)
