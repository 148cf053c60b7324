"""Workers: the processes that do the work of imports, on all machines."""

from flask import Blueprint, Response, jsonify

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_query
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.schemas import pages, workers
from bulkcert.values.pages import Page
from bulkcert.values.principals import Scope

_MOST = 1000

blueprint = Blueprint("workers", __name__)


@blueprint.get("/workers")
@authorization.needs(Scope.METRICS_READ)
def index() -> Response:
    """List workers: those that run first, then the last seen; there is one page."""
    read_query(pages.Nothing())
    found = context.service().workers.list(_MOST)
    return jsonify(dump_page(Page(tuple(found), next_cursor=None), workers.Worker()))
