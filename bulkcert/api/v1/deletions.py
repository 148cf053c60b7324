"""Deletions: everything kept for the devices of a list is deleted, and a report names each device."""

from flask import Blueprint, Response, jsonify, request, url_for

from bulkcert.api import authorization, context
from bulkcert.api.parsing import JSON, read_json, read_query
from bulkcert.api.uploads import MULTIPART
from bulkcert.api.v1 import negotiation, reports
from bulkcert.api.v1.request_parts import idempotency_key, read_file_and_fields
from bulkcert.api.v1.schemas import imports, pages
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.errors import UnsupportedMediaType
from bulkcert.values.bulk_requests import BulkRequest, RequestKind
from bulkcert.values.pages import Page
from bulkcert.values.principals import Scope

MOST_JSON_BYTES = 4 * 1024**2
"""Room for as many devices as one request may name. Parsing takes about ten times that in memory."""

blueprint = Blueprint("deletions", __name__, url_prefix="/deletions")


@blueprint.post("")
@authorization.needs(Scope.CERTIFICATES_DELETE)
def create() -> Response:
    """Delete everything kept for the devices of a list before answering."""
    key = idempotency_key()
    read_query(pages.Nothing())
    done = _delete(key)
    response = jsonify(imports.DeletionReport().dump(done))
    response.status_code = 200 if done.validate_only else 201
    response.headers["Location"] = url_for(".show", deletion_id=done.id)
    return response


@blueprint.get("")
@authorization.needs(Scope.CERTIFICATES_READ)
@reads(query=pages.PageQuery)
@answers(imports.DeletionReport)
def index(query: Values) -> Page[BulkRequest]:
    """List deletions, the newest first."""
    return context.service().reports.page(RequestKind.DELETION, **query)


@blueprint.get("/<deletion_id>")
@authorization.needs(Scope.CERTIFICATES_READ)
@reads()
@answers(imports.DeletionReport)
def show(deletion_id: str) -> BulkRequest:
    """Show a deletion and its counts."""
    return context.service().reports.find(RequestKind.DELETION, deletion_id)


@blueprint.get("/<deletion_id>/items")
@authorization.needs(Scope.CERTIFICATES_READ)
@negotiation.offers(*reports.FORMATS)
def items(deletion_id: str) -> Response:
    """List the devices of a deletion, in the order of the list."""
    return reports.items(RequestKind.DELETION, deletion_id, imports.DeletionItemsQuery)


def _delete(key: str | None) -> BulkRequest:
    deletions, caller = context.service().deletions, context.caller()
    if request.mimetype == MULTIPART:
        order, file = read_file_and_fields("identities", imports.DeletionOrder())
        return deletions.delete_listed(file, **order, caller=caller, idempotency_key=key)
    if request.mimetype == JSON:
        most_bytes = min(MOST_JSON_BYTES, context.service().limits.credentials_file_bytes)
        order = read_json(imports.Deletion(), most_bytes)
        return deletions.delete(**order, caller=caller, idempotency_key=key)
    raise UnsupportedMediaType(f"The body is neither {MULTIPART} nor {JSON}.")
