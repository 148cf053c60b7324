"""Hand a device's key and certificate out."""

from flask import Blueprint, Response, jsonify

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import access, pages
from bulkcert.errors import Fault, MalformedRequest
from bulkcert.values.principals import Scope
from bulkcert.values.releases import Encryption, ReleaseFormat

blueprint = Blueprint("release", __name__, url_prefix="/certificates")


@blueprint.post("/<certificate_id>/release")
@authorization.needs(Scope.KEYS_RELEASE, Scope.CERTIFICATES_READ)
def create(certificate_id: str) -> Response:
    """Make a PKCS#12 or PEM of a certificate and its key, once this is recorded."""
    read_query(pages.Nothing())
    order = read_json(access.ReleaseOrder())
    if order["format"] is ReleaseFormat.PEM and order["encryption"] is not None:
        fault = Fault("encryption", "PEM has one of its own: leave this out.")
        raise MalformedRequest("The request is not of the form that the contract says.", (fault,))
    released = context.service().releaser.release(
        parse_id(certificate_id),
        order["format"],
        order["encryption"] or Encryption.AES256,
        order["password"],
        context.caller().login,
    )
    response = jsonify(access.Released().dump(released))
    response.headers["Cache-Control"] = "no-store"
    return response
