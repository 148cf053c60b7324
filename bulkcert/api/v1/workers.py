"""Workers: the processes that do the work of imports, on all machines."""

from flask import Blueprint, Response, jsonify

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_query
from bulkcert.api.v1 import pages
from bulkcert.api.v1.schemas import imports as schemas
from bulkcert.values.pages import Page
from bulkcert.values.principals import Scope

_MOST = 1000

blueprint = Blueprint("workers", __name__)


@blueprint.get("/workers")
@authorization.needs(Scope.METRICS_READ)
def index() -> Response:
    """List workers: those that run first, then the last seen; there is one page."""
    read_query(schemas.Nothing())
    workers = context.service().workers.list(_MOST)
    return jsonify(pages.write(Page(tuple(workers), next_cursor=None), schemas.Worker()))
