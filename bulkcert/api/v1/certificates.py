"""Device certificates that are kept, without anything secret."""

from flask import Blueprint, Response, jsonify

from bulkcert.api import auth, current
from bulkcert.api.reading import read_query
from bulkcert.api.v1 import ids, pages, schemas
from bulkcert.values.certificates import CertificateFilter
from bulkcert.values.principals import Scope

blueprint = Blueprint("certificates", __name__, url_prefix="/certificates")


@blueprint.get("")
@auth.needs(Scope.CERTIFICATES_READ)
def index() -> Response:
    """List device certificates, the oldest first."""
    query = read_query(schemas.CertificatesQuery())
    limit, cursor = query.pop("limit"), query.pop("cursor")
    page = current.service().inventory.page(CertificateFilter(**query), limit, cursor)
    return jsonify(pages.write(page, schemas.Certificate()))


@blueprint.get("/<certificate_id>")
@auth.needs(Scope.CERTIFICATES_READ)
def show(certificate_id: str) -> Response:
    """Show one device certificate."""
    read_query(schemas.Nothing())
    found = current.service().inventory.find(ids.number(certificate_id))
    return jsonify(schemas.Certificate().dump(found))
