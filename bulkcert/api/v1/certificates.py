"""Device certificates, without anything secret."""

from flask import Blueprint

from bulkcert.api import authorization, context
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import certificates
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.values.certificates import CertificateFilter, DeviceCertificate
from bulkcert.values.pages import Page
from bulkcert.values.principals import Scope

blueprint = Blueprint("certificates", __name__, url_prefix="/certificates")


@blueprint.get("")
@authorization.needs(Scope.CERTIFICATES_READ)
@reads(query=certificates.CertificatesQuery)
@answers(certificates.Certificate)
def index(query: Values) -> Page[DeviceCertificate]:
    """List device certificates, the oldest first."""
    limit, cursor = query.pop("limit"), query.pop("cursor")
    return context.service().inventory.page(CertificateFilter(**query), limit, cursor)


@blueprint.get("/<certificate_id>")
@authorization.needs(Scope.CERTIFICATES_READ)
@reads()
@answers(certificates.Certificate)
def show(certificate_id: str) -> DeviceCertificate:
    """Show one device certificate."""
    return context.service().inventory.find(parse_id(certificate_id))
