"""The limits of this installation."""

import dataclasses

from flask import Blueprint, Response, jsonify

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_query
from bulkcert.api.v1.schemas import pages

blueprint = Blueprint("limits", __name__)


@blueprint.get("/limits")
@authorization.authenticated
def show() -> Response:
    """Show every limit, by name."""
    read_query(pages.Nothing())
    return jsonify(dataclasses.asdict(context.service().limits))
