# ruff: noqa: ANN401, ARG002 - these are the signatures of marshmallow
"""Schemas of VPN policies and deployments."""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate, validates_schema

from bulkcert.api.v1.schemas.fields import IdentityTypeName, Switch, Text, Timestamp
from bulkcert.api.v1.schemas.filters import Fingerprint
from bulkcert.api.v1.schemas.pages import PageQuery
from bulkcert.values.deployments import Deployment, Lease
from bulkcert.values.policies import DeploymentState, VpnPolicy

LEASE_SECONDS = (10, 86_400)
DEFAULT_LEASE_SECONDS = 300
MOST_LEASED = 1000
DEFAULT_LEASED = 10
LONGEST_DETAIL = 1000

_LONGEST_LEASE = 64
_MEMBERS_OF = {
    DeploymentState.DELIVERED: {"lease_seconds"},
    DeploymentState.INSTALLED: {"certificate_sha256"},
    DeploymentState.REMOVED: set[str](),
    DeploymentState.FAILED: {"code", "detail"},
}
"""The members of a report beside `lease` and `state`, by its state."""


class IdText(fields.String):
    """An id as this service writes it. Becomes a number."""

    def __init__(self, **rest: Any) -> None:
        is_id = validate.Regexp(r"\A[1-9][0-9]{0,17}\Z", error="It is not an id of this service.")
        super().__init__(validate=is_id, **rest)

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **rest: Any
    ) -> Any:
        """Validate the text, and return its number."""
        read = super().deserialize(value, attr, data, **rest)
        return int(read) if isinstance(read, str) else read


class LeaseSeconds(fields.Integer):
    """The duration of a lease in seconds."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(*LEASE_SECONDS), **rest)


# --- read -------------------------------------------------------------------------------------------


class PolicyDocument(Schema):
    """The body of POST and PUT /vpn-policies; `VpnPolicy.from_document` checks its members."""

    class Meta:
        """All members pass unchanged."""

        unknown = INCLUDE


class RemovalQuery(Schema):
    """Query parameters of PUT and DELETE /vpn-policies: whether to remove profiles from devices."""

    remove_profiles = Switch(as_text=True)


class ProfileOrder(Schema):
    """The body of POST /vpn-policies/{policy_id}/profile."""

    certificate_id = IdText(required=True)


class DeploymentsQuery(PageQuery):
    """Query parameters of GET /deployments."""

    state = fields.Enum(DeploymentState, by_value=fields.String, load_default=None)
    policy_id = IdText(load_default=None)
    identity_type = IdentityTypeName(load_default=None)
    identity = Text(load_default=None)


class LeaseOrder(Schema):
    """The body of POST /deployments/lease."""

    max = fields.Integer(strict=True, validate=validate.Range(1, MOST_LEASED), load_default=DEFAULT_LEASED)
    lease_seconds = LeaseSeconds(load_default=DEFAULT_LEASE_SECONDS)
    policy = IdText(load_default=None, allow_none=False)


class HeldLease(Schema):
    """The body of POST /deployments/{deployment_id}/profile."""

    lease = Text(most=_LONGEST_LEASE, required=True)


class Report(HeldLease):
    """The body of POST /deployments/{deployment_id}/report."""

    state = fields.Enum(
        DeploymentState, by_value=fields.String, required=True, validate=validate.OneOf(tuple(_MEMBERS_OF))
    )
    certificate_sha256 = Fingerprint()
    code = fields.String(validate=validate.Regexp(r"\A[a-z0-9_]{1,40}\Z", error="Must be like device_away."))
    detail = Text(most=LONGEST_DETAIL)
    lease_seconds = LeaseSeconds()

    @validates_schema
    def hold_members_to_their_state(self, report: dict[str, Any], **_: Any) -> None:
        """Check that only members of the state are present, and the fingerprint if it is installed."""
        state = report["state"]
        others = report.keys() - {"lease", "state"} - _MEMBERS_OF[state]
        wrong = {name: [f"It does not belong to the state {state}."] for name in others}
        if state is DeploymentState.INSTALLED and "certificate_sha256" not in report:
            wrong["certificate_sha256"] = ["Missing data for required field."]
        if wrong:
            raise ValidationError(wrong)


# --- written ----------------------------------------------------------------------------------------


class Document(fields.Field[VpnPolicy]):
    """A policy in its JSON form, with every member."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> dict[str, object]:
        document: dict[str, object] = value.document()
        return document


class KeptPolicy(Schema):
    """A VPN policy, from `deployments.KeptPolicy`."""

    id = fields.String()
    version = fields.Integer()
    created_by = fields.String()
    created_at = Timestamp()
    updated_at = Timestamp()
    policy = Document()


class DeploymentError(Schema):
    """Why a deployment failed, from `Deployment`."""

    code = fields.String(attribute="error_code")
    detail = fields.String(attribute="error_detail")


class ErrorOrNone(fields.Field[Deployment]):
    """Why a deployment failed; null where it did not. The attribute is its code."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> Any:
        return None if value is None else DeploymentError().dump(obj)


class DeploymentReport(Schema):
    """A deployment, from `deployments.Deployment`."""

    id = fields.String()
    policy_id = fields.String()
    policy_name = fields.String()
    identity_type = fields.String(attribute="identity.type")
    identity = fields.String(attribute="identity.value")
    state = fields.String()
    certificate_id = fields.String()
    installed_certificate_id = fields.String()
    attempts = fields.Integer()
    not_before = Timestamp()
    leased_until = Timestamp()
    leased_by = fields.String()
    error = ErrorOrNone(attribute="error_code")
    created_at = Timestamp()
    updated_at = Timestamp()
    delivered_at = Timestamp()
    installed_at = Timestamp()


class LeaseReport(Schema):
    """A lease, from `deployments.Lease`; `write_lease` adds the members about the profile."""

    action = fields.String()
    lease = fields.String(attribute="token")
    leased_until = Timestamp(attribute="deployment.leased_until")
    profile = fields.String(dump_default=None)
    profile_identifier = fields.String(dump_default=None)
    deployment = fields.Nested(DeploymentReport)


def write_lease(lease: Lease, profile: str | None, profile_identifier: str) -> dict[str, Any]:
    """Return the members of a lease. profile: the path of its profile, None if nothing is to be installed."""
    written: dict[str, Any] = LeaseReport().dump(lease)
    return written | {"profile": profile, "profile_identifier": profile_identifier}
