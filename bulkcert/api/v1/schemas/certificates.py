"""Schemas of device certificates."""

from marshmallow import Schema, fields

from bulkcert.api.v1.schemas.fields import IdentityTypeName, Text, Timestamp
from bulkcert.api.v1.schemas.filters import Fingerprint, Moment
from bulkcert.api.v1.schemas.pages import PageQuery
from bulkcert.values.certificates import CertificateState

MOST_IN_NAME = 1024


class CertificatesQuery(PageQuery):
    """Query parameters of GET /certificates."""

    identity_type = IdentityTypeName(load_default=None)
    identity = Text(load_default=None)
    state = fields.Enum(CertificateState, by_value=fields.String, load_default=None)
    expires_before = Moment(load_default=None)
    issuer = Text(most=MOST_IN_NAME, load_default=None)
    fingerprint_sha256 = Fingerprint(load_default=None)
    q = Text(attribute="text", most=MOST_IN_NAME, load_default=None)


class Certificate(Schema):
    """A device certificate without anything secret, from `certificates.DeviceCertificate`."""

    id = fields.String()
    identity_type = fields.String(attribute="identity.type")
    identity = fields.String(attribute="identity.value")
    state = fields.String()
    subject = fields.String(attribute="facts.subject.text")
    issuer = fields.String(attribute="facts.issuer.text")
    serial_number = fields.String(attribute="facts.serial_number")
    not_before = Timestamp(attribute="facts.not_before")
    not_after = Timestamp(attribute="facts.not_after")
    fingerprint_sha256 = fields.String(attribute="facts.fingerprint_sha256")
    key_type = fields.String(attribute="facts.key_type")
    key_size = fields.Integer(attribute="facts.key_size")
    subject_alternative_names = fields.List(fields.String(), attribute="facts.subject_alternative_names")
    subject_alternative_names_total = fields.Integer(attribute="facts.names_total")
    shown_in_part = fields.Boolean(attribute="facts.is_in_part")
    signature_algorithm = fields.String(attribute="facts.signature_algorithm")
    chain = fields.List(fields.String(), attribute="chain_ids")
    import_id = fields.String()
    created_at = Timestamp()
    superseded_at = Timestamp()
    deleted_at = Timestamp()
