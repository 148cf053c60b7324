"""Workers: the processes that do the work of imports, on all machines."""

from flask import Blueprint

from bulkcert.api import authorization, context
from bulkcert.api.v1.schemas import workers
from bulkcert.api.v1.views import answers, reads
from bulkcert.values.pages import Page
from bulkcert.values.principals import Scope
from bulkcert.values.workers import Worker

_MOST = 1000

blueprint = Blueprint("workers", __name__)


@blueprint.get("/workers")
@authorization.needs(Scope.METRICS_READ)
@reads()
@answers(workers.Worker)
def index() -> Page[Worker]:
    """List workers on one page: running workers first, then by when they were last seen."""
    return Page(tuple(context.service().workers.list(_MOST)), next_cursor=None)
