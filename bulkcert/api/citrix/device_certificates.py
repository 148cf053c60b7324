"""Import of a bundle, and deletion by a list of devices."""

from flask import Response

from bulkcert.api import context
from bulkcert.api.authorization import needs
from bulkcert.api.citrix.answers import answer
from bulkcert.api.citrix.envelopes import FAILURES_NAMED, bulk_envelope
from bulkcert.api.citrix.form import read_form
from bulkcert.api.citrix.members import Members
from bulkcert.errors import StillRunning
from bulkcert.values.bulk_requests import BulkRequest, ImportOrder
from bulkcert.values.identities import IdentityType
from bulkcert.values.principals import Scope

_ANY_TYPE = "device_identity_value"
"""The identity type in the removal body of the vendor's article, which means any type."""


@needs(Scope.IMPORTS_WRITE)
def import_device_certificates() -> Response:
    """Import a bundle, and answer when it is finished."""
    form = read_form("certImportData")
    form.members.must_be("useAs", "device")
    form.members.must_be("uploadType", "keystore")
    form.members.must_be("keystoreType", "PKCS12")
    service = context.service()
    credentials_file = form.members.text("credentialFileName").strip() or None
    order = ImportOrder(_identity_type(form.members), credentials_file)
    accepted = service.intake.join_or_accept(form.file, order, context.caller())
    context.note_import(accepted.id)
    finished = context.waiting_room().wait(accepted, service.config.citrix_wait_seconds)
    if not finished.state.is_finished:
        raise StillRunning("The import was accepted and goes on, but has not ended yet.", finished.id)
    return _report(finished, ("alias",) if form.members.text("alias") else ())


@needs(Scope.CERTIFICATES_DELETE)
def remove_device_certificates() -> Response:
    """Delete everything kept for the devices of the uploaded list."""
    form = read_form("certRemoveData")
    is_any = form.members.text("identityType").strip().casefold() == _ANY_TYPE
    identity_type = None if is_any else _identity_type(form.members)
    return _report(context.service().deletions.delete_listed(form.file, identity_type, context.caller()))


def _identity_type(members: Members) -> IdentityType:
    return IdentityType.parse(members.required("identityType").strip().upper())


def _report(request: BulkRequest, ignored: tuple[str, ...] = ()) -> Response:
    failures = context.service().reports.failures(request.id, FAILURES_NAMED)
    return answer(bulk_envelope(request, failures, ignored))
