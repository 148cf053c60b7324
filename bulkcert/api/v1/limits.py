"""The limits of this installation."""

import dataclasses

from flask import Blueprint, Response, jsonify

from bulkcert.api import auth, current
from bulkcert.api.reading import read_query
from bulkcert.api.v1 import schemas

blueprint = Blueprint("limits", __name__)


@blueprint.get("/limits")
@auth.authenticated
def show() -> Response:
    """Show every limit, by name."""
    read_query(schemas.Nothing())
    return jsonify(dataclasses.asdict(current.service().limits))
