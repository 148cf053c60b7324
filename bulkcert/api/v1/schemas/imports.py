"""Schemas of imports and deletions, and of their items."""

from marshmallow import Schema, fields, validate

from bulkcert.api.v1.schemas.fields import (
    EstimateByNow,
    IdentityTypeName,
    Names,
    RateByNow,
    Switch,
    Text,
    Timestamp,
)
from bulkcert.api.v1.schemas.filters import ItemCode
from bulkcert.api.v1.schemas.pages import PageQuery
from bulkcert.values.bulk_requests import OnConflict, Outcome

_IMPORT_OUTCOMES = (Outcome.CREATED, Outcome.REPLACED, Outcome.UNCHANGED, Outcome.FAILED)
_DELETION_OUTCOMES = (Outcome.DELETED, Outcome.NOT_FOUND, Outcome.FAILED)


# --- read -------------------------------------------------------------------------------------------


class ImportOrder(Schema):
    """The fields of POST /imports besides the bundle."""

    identity_type = IdentityTypeName(required=True)
    credentials_file = Text(load_default=None)
    on_conflict = fields.Enum(OnConflict, by_value=fields.String, load_default=OnConflict.REPLACE)
    validate_only = Switch(as_text=True)


class DeletionOrder(Schema):
    """The fields of POST /deletions besides the list."""

    identity_type = IdentityTypeName(required=True)
    validate_only = Switch(as_text=True)
    remove_from_devices = Switch(as_text=True, attribute="removes")


class Deletion(DeletionOrder):
    """The JSON body of POST /deletions. A name that is no identity becomes a failed item."""

    identities = Names(required=True)
    validate_only = Switch()
    remove_from_devices = Switch(attribute="removes")


class ImportItemsQuery(PageQuery):
    """Query parameters for the items of an import."""

    outcome = fields.Enum(
        Outcome, by_value=fields.String, load_default=None, validate=validate.OneOf(_IMPORT_OUTCOMES)
    )
    code = ItemCode(load_default=None)


class DeletionItemsQuery(PageQuery):
    """Query parameters for the items of a deletion."""

    outcome = fields.Enum(
        Outcome, by_value=fields.String, load_default=None, validate=validate.OneOf(_DELETION_OUTCOMES)
    )
    code = ItemCode(load_default=None)


# --- written ----------------------------------------------------------------------------------------


class Counts(Schema):
    """The counts that imports and deletions share."""

    total = fields.Integer()
    done = fields.Integer()


class ImportCounts(Counts):
    """The number of items of an import by outcome."""

    created = fields.Integer()
    replaced = fields.Integer()
    unchanged = fields.Integer()
    failed = fields.Integer()
    ignored = fields.Integer()


class DeletionCounts(Counts):
    """The number of items of a deletion by outcome."""

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
    """One device in an import or deletion, from `reports.Item`; its result is null until it is done."""

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
