"""Imports: a bundle goes in, a report for every device comes out."""

from collections.abc import Callable
from typing import BinaryIO

from flask import Blueprint, Response, jsonify, request, url_for

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_query
from bulkcert.api.uploads import MULTIPART, read_raw
from bulkcert.api.v1 import negotiation, reports
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.request_parts import Wait, idempotency_key, read_file_and_fields
from bulkcert.api.v1.schemas import imports, pages
from bulkcert.errors import UnsupportedMediaType
from bulkcert.values.bulk_requests import BulkRequest, ImportOrder, RequestKind
from bulkcert.values.principals import Scope

ZIPS = ("application/zip", "application/octet-stream", "application/x-zip-compressed", "application/x-zip")
"""What browsers, curl and Windows call a zip, or any file."""

_POLL_SECONDS = "1"

blueprint = Blueprint("imports", __name__, url_prefix="/imports")


@blueprint.post("")
@authorization.needs(Scope.IMPORTS_WRITE)
def create() -> Response:
    """Accept a bundle, and wait a while for its end: 201 (200 for a dry run) when it is done, else 202."""
    return _create(_read_form if request.mimetype == MULTIPART else _read_body)


@blueprint.post("/raw")
@authorization.needs(Scope.IMPORTS_WRITE)
def create_from_body() -> Response:
    """Accept a bundle that is the body itself; answers like `create`."""
    return _create(_read_body)


@blueprint.get("")
@authorization.needs(Scope.IMPORTS_READ)
def index() -> Response:
    """List imports, the newest first."""
    query = read_query(pages.PageQuery())
    page = context.service().requests.page(RequestKind.IMPORT, **query)
    return jsonify(dump_page(page, imports.Import()))


@blueprint.get("/<id_except('raw'):import_id>")
@authorization.needs(Scope.IMPORTS_READ)
def show(import_id: str) -> Response:
    """Show where an import stands."""
    read_query(pages.Nothing())
    return jsonify(imports.Import().dump(context.service().requests.find(RequestKind.IMPORT, import_id)))


@blueprint.get("/<import_id>/items")
@authorization.needs(Scope.IMPORTS_READ)
@negotiation.offers(*reports.FORMATS)
def items(import_id: str) -> Response:
    """List the devices of an import, in the order of the bundle."""
    return reports.items(RequestKind.IMPORT, import_id, imports.ImportItemsQuery)


@blueprint.get("/<import_id>/retry-list")
@authorization.needs(Scope.IMPORTS_READ)
@negotiation.offers(reports.TEXT)
def retry_list(import_id: str) -> Response:
    """Begin the credentials file of another try: a line for each device that failed."""
    return reports.retry_list(import_id)


@blueprint.post("/<import_id>/cancel")
@authorization.needs(Scope.IMPORTS_WRITE)
def cancel(import_id: str) -> Response:
    """Stop what has not started of an import, and show where it stands."""
    read_query(pages.Nothing())
    stopped = context.service().importer.cancel(import_id, context.caller())
    return jsonify(imports.Import().dump(stopped))


def _create(read_order: Callable[[], tuple[ImportOrder, BinaryIO]]) -> Response:
    key = idempotency_key()
    config = context.service().config
    wait = Wait.from_request(config.default_wait_seconds, config.longest_wait_seconds)
    order, bundle = read_order()
    accepted = context.service().importer.accept(bundle, order, context.caller(), key)
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
