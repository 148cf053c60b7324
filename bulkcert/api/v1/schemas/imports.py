"""What door two reads and writes. What is read knows no other names; members are written in this order."""

from marshmallow import Schema, fields, validate

from bulkcert.api.v1.schemas.fields import (
    EstimateByNow,
    IdentityTypeName,
    Names,
    PageLimit,
    Password,
    RateByNow,
    Switch,
    Text,
    Timestamp,
)
from bulkcert.api.v1.schemas.filters import Fingerprint, ItemCode, Moment
from bulkcert.values.bulk_requests import OnConflict, Outcome
from bulkcert.values.certificates import CertificateState

MOST_CURSOR = 512
MOST_IN_NAME = 1024


_IMPORT_OUTCOMES = (Outcome.CREATED, Outcome.REPLACED, Outcome.UNCHANGED, Outcome.FAILED)
_DELETION_OUTCOMES = (Outcome.DELETED, Outcome.NOT_FOUND, Outcome.FAILED)


# --- read -------------------------------------------------------------------------------------------


class Nothing(Schema):
    """Where a path takes no parameters."""


class Login(Schema):
    """The body of POST /sessions."""

    login = Text(required=True)
    password = Password(required=True)


class ImportOrder(Schema):
    """What an import asks for besides its bundle."""

    identity_type = IdentityTypeName(required=True)
    credentials_file = Text(load_default=None)
    on_conflict = fields.Enum(OnConflict, by_value=fields.String, load_default=OnConflict.REPLACE)
    validate_only = Switch(as_text=True)


class DeletionOrder(Schema):
    """What a deletion asks for besides its list."""

    identity_type = IdentityTypeName(required=True)
    validate_only = Switch(as_text=True)
    remove_from_devices = Switch(as_text=True, attribute="removes")


class Deletion(DeletionOrder):
    """The JSON body of POST /deletions. A name that is no identity is an item that fails, however long."""

    identities = Names(required=True)
    validate_only = Switch()
    remove_from_devices = Switch(attribute="removes")


class PageQuery(Schema):
    """Which part of a list to give."""

    limit = PageLimit(load_default=100)
    cursor = Text(most=MOST_CURSOR, load_default=None)


PAGE_PARAMETERS = tuple(PageQuery().fields)
"""What a report that is given whole does not know."""


class ImportItemsQuery(PageQuery):
    """Which items of an import to give."""

    outcome = fields.Enum(
        Outcome, by_value=fields.String, load_default=None, validate=validate.OneOf(_IMPORT_OUTCOMES)
    )
    code = ItemCode(load_default=None)


class DeletionItemsQuery(PageQuery):
    """Which items of a deletion to give."""

    outcome = fields.Enum(
        Outcome, by_value=fields.String, load_default=None, validate=validate.OneOf(_DELETION_OUTCOMES)
    )
    code = ItemCode(load_default=None)


class CertificatesQuery(PageQuery):
    """Which certificates to give."""

    identity_type = IdentityTypeName(load_default=None)
    identity = Text(load_default=None)
    state = fields.Enum(CertificateState, by_value=fields.String, load_default=None)
    expires_before = Moment(load_default=None)
    issuer = Text(most=MOST_IN_NAME, load_default=None)
    fingerprint_sha256 = Fingerprint(load_default=None)
    q = Text(attribute="text", most=MOST_IN_NAME, load_default=None)


# --- written ----------------------------------------------------------------------------------------


class Counts(Schema):
    """Counts that imports and deletions share."""

    total = fields.Integer()
    done = fields.Integer()


class ImportCounts(Counts):
    """How many items of an import came to which outcome."""

    created = fields.Integer()
    replaced = fields.Integer()
    unchanged = fields.Integer()
    failed = fields.Integer()
    ignored = fields.Integer()


class DeletionCounts(Counts):
    """How many items of a deletion came to which outcome."""

    deleted = fields.Integer()
    not_found = fields.Integer()
    failed = fields.Integer()
    ignored = fields.Integer()


class Import(Schema):
    """An import, from `reports.BulkRequest`."""

    id = fields.String()
    state = fields.String()
    identity_type = fields.String()
    on_conflict = fields.String()
    validate_only = fields.Boolean()
    counts = fields.Nested(ImportCounts)
    items_per_second = RateByNow()
    estimated_finish = EstimateByNow()
    requested_by = fields.String()
    created_at = Timestamp()
    started_at = Timestamp()
    finished_at = Timestamp()
    report_pruned_at = Timestamp()


class Worker(Schema):
    """A worker process, from `workers.Worker`."""

    id = fields.String()
    host = fields.String()
    process_id = fields.Integer()
    version = fields.String()
    state = fields.String()
    started_at = Timestamp()
    last_seen_at = Timestamp()
    ended_at = Timestamp()
    items_done = fields.Integer()


class DeletionReport(Schema):
    """A deletion, from `reports.BulkRequest`."""

    id = fields.String()
    state = fields.String()
    identity_type = fields.String()
    validate_only = fields.Boolean()
    counts = fields.Nested(DeletionCounts)
    requested_by = fields.String()
    created_at = Timestamp()
    started_at = Timestamp()
    finished_at = Timestamp()
    report_pruned_at = Timestamp()


class Item(Schema):
    """One device in an import or deletion, from `reports.Item`; null where its turn has not come."""

    position = fields.Integer()
    file = fields.String()
    identity = fields.String()
    outcome = fields.String(attribute="result.outcome", dump_default=None)
    code = fields.String(attribute="result.code", dump_default=None)
    detail = fields.String(attribute="result.detail", dump_default=None)
    found = fields.String(attribute="result.found", dump_default=None)
    warnings = fields.List(fields.String(), attribute="result.warnings", dump_default=())
    certificate_id = fields.String(attribute="result.certificate_id", dump_default=None)
    fingerprint_sha256 = fields.String(attribute="result.fingerprint_sha256", dump_default=None)


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
