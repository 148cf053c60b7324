"""Device certificates that are kept, without anything secret."""

from flask import Blueprint, Response, jsonify

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_query
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import certificates, pages
from bulkcert.values.certificates import CertificateFilter
from bulkcert.values.principals import Scope

blueprint = Blueprint("certificates", __name__, url_prefix="/certificates")


@blueprint.get("")
@authorization.needs(Scope.CERTIFICATES_READ)
def index() -> Response:
    """List device certificates, the oldest first."""
    query = read_query(certificates.CertificatesQuery())
    limit, cursor = query.pop("limit"), query.pop("cursor")
    page = context.service().inventory.page(CertificateFilter(**query), limit, cursor)
    return jsonify(dump_page(page, certificates.Certificate()))


@blueprint.get("/<certificate_id>")
@authorization.needs(Scope.CERTIFICATES_READ)
def show(certificate_id: str) -> Response:
    """Show one device certificate."""
    read_query(pages.Nothing())
    found = context.service().inventory.find(parse_id(certificate_id))
    return jsonify(certificates.Certificate().dump(found))
