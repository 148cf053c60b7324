"""Release the key and certificate of a device."""

from flask import Blueprint

from bulkcert.api import authorization, context
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import access
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.errors import Fault, MalformedRequest
from bulkcert.values.principals import Scope
from bulkcert.values.releases import Encryption, Released, ReleaseFormat

blueprint = Blueprint("release", __name__, url_prefix="/certificates")


@blueprint.post("/<certificate_id>/release")
@authorization.needs(Scope.KEYS_RELEASE, Scope.CERTIFICATES_READ)
@reads(body=access.ReleaseOrder)
@answers(access.Released)
def create(order: Values, certificate_id: str) -> Released:
    """Record the release, then return a certificate and its key as PKCS#12 or PEM."""
    if order["format"] is ReleaseFormat.PEM and order["encryption"] is not None:
        fault = Fault("encryption", "PEM has one of its own: leave this out.")
        raise MalformedRequest("The request is not of the form that the contract says.", (fault,))
    return context.service().key_release.release(
        parse_id(certificate_id),
        order["format"],
        order["encryption"] or Encryption.AES256,
        order["password"],
        context.caller().login,
    )
