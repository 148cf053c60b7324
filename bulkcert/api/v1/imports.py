"""Imports: a bundle is uploaded, and a report names the outcome for each device."""

from collections.abc import Callable
from typing import BinaryIO

from flask import Blueprint, Response, jsonify, request, url_for

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_query
from bulkcert.api.uploads import MULTIPART, read_raw
from bulkcert.api.v1 import negotiation, reports
from bulkcert.api.v1.request_parts import Wait, idempotency_key, read_file_and_fields
from bulkcert.api.v1.schemas import imports, pages
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.errors import UnsupportedMediaType
from bulkcert.values.bulk_requests import BulkRequest, ImportOrder, RequestKind
from bulkcert.values.pages import Page
from bulkcert.values.principals import Scope

ZIPS = ("application/zip", "application/octet-stream", "application/x-zip-compressed", "application/x-zip")
"""Media types that browsers, curl and Windows send for a zip, or for any file."""

_POLL_SECONDS = "1"

blueprint = Blueprint("imports", __name__, url_prefix="/imports")


@blueprint.post("")
@authorization.needs(Scope.IMPORTS_WRITE)
def create() -> Response:
    """Accept a bundle and wait for its end: 201 (200 for a dry run) if it is done in time, else 202."""
    return _create(_read_form if request.mimetype == MULTIPART else _read_body)


@blueprint.post("/raw")
@authorization.needs(Scope.IMPORTS_WRITE)
def create_from_body() -> Response:
    """Accept a bundle that is the whole body; answer like `create`."""
    return _create(_read_body)


@blueprint.get("")
@authorization.needs(Scope.IMPORTS_READ)
@reads(query=pages.PageQuery)
@answers(imports.Import)
def index(query: Values) -> Page[BulkRequest]:
    """List imports, the newest first."""
    return context.service().reports.page(RequestKind.IMPORT, **query)


@blueprint.get("/<id_except('raw'):import_id>")
@authorization.needs(Scope.IMPORTS_READ)
@reads()
@answers(imports.Import)
def show(import_id: str) -> BulkRequest:
    """Show the state of an import."""
    return context.service().reports.find(RequestKind.IMPORT, import_id)


@blueprint.get("/<import_id>/items")
@authorization.needs(Scope.IMPORTS_READ)
@negotiation.offers(*reports.FORMATS)
def items(import_id: str) -> Response:
    """List the devices of an import, in the order of the bundle."""
    return reports.items(RequestKind.IMPORT, import_id, imports.ImportItemsQuery)


@blueprint.get("/<import_id>/retry-list")
@authorization.needs(Scope.IMPORTS_READ)
@negotiation.offers(reports.TEXT)
@reads()
def retry_list(import_id: str) -> Response:
    """Return the start of a credentials file for another try: a line for each device that failed."""
    return reports.retry_list(import_id)


@blueprint.post("/<import_id>/cancel")
@authorization.needs(Scope.IMPORTS_WRITE)
@reads()
@answers(imports.Import)
def cancel(import_id: str) -> BulkRequest:
    """Cancel the items of an import that have not started, and show its state."""
    return context.service().intake.cancel(import_id, context.caller())


def _create(read_order: Callable[[], tuple[ImportOrder, BinaryIO]]) -> Response:
    key = idempotency_key()
    config = context.service().config
    wait = Wait.from_request(config.default_wait_seconds, config.longest_wait_seconds)
    order, bundle = read_order()
    accepted = context.service().intake.accept(bundle, order, context.caller(), key)
    context.note_import(accepted.id)
    return _answer(context.waiting_room().wait(accepted, wait.seconds), wait)


def _read_form() -> tuple[ImportOrder, BinaryIO]:
    read_query(pages.Nothing())
    fields, bundle = read_file_and_fields("bundle", imports.ImportOrder())
    return ImportOrder(**fields), bundle


def _read_body() -> tuple[ImportOrder, BinaryIO]:
    if request.mimetype not in ZIPS:
        raise UnsupportedMediaType(f"The body is neither {MULTIPART} nor {', '.join(ZIPS)}.")
    return ImportOrder(**read_query(imports.ImportOrder())), read_raw()


def _answer(found: BulkRequest, wait: Wait) -> Response:
    response = jsonify(imports.Import().dump(found))
    done = 200 if found.validate_only else 201
    response.status_code = done if found.state.is_finished else 202
    response.headers["Location"] = url_for(".show", import_id=found.id)
    if not found.state.is_finished:
        response.headers["Retry-After"] = _POLL_SECONDS
    if wait.applied:
        response.headers["Preference-Applied"] = wait.applied
    return response
