"""Deployments: what is on its way to devices, and the feed for whoever carries it there."""

from typing import Any

from flask import Blueprint, Response, jsonify, url_for

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1 import ids, negotiation, pages, profiles
from bulkcert.api.v1.schemas import deployments as deployment_schemas
from bulkcert.api.v1.schemas import imports as schemas
from bulkcert.values.deployments import Action, Deployment, DeploymentFilter, Lease
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.policies import DeploymentState
from bulkcert.values.principals import Scope

_DEFAULT_CODE = "deployer_failed"
_DEFAULT_DETAIL = "The deployer did not say why."

_OF_RELEASED = frozenset({DeploymentState.DELIVERED, DeploymentState.INSTALLED})
"""Reports that are believed of a caller who could get the profile, and of no other."""

blueprint = Blueprint("deployments", __name__, url_prefix="/deployments")


@blueprint.get("")
@authorization.needs(Scope.DEPLOYMENTS_READ)
def index() -> Response:
    """List deployments, the oldest first, with how many are in which state."""
    query = read_query(deployment_schemas.DeploymentsQuery())
    limit, cursor, state = query.pop("limit"), query.pop("cursor"), query.pop("state")
    if query["identity_type"] is not None and query["identity"] is not None:
        query["identity"] = DeviceIdentity.parse(query["identity_type"], query["identity"]).value
    deployments = context.service().deployments
    page = deployments.page(DeploymentFilter(state=state, **query), limit, cursor)
    counts = deployments.counts(DeploymentFilter(**query))
    return jsonify(pages.write(page, deployment_schemas.DeploymentReport()) | {"counts": counts})


@blueprint.get("/<id_except('lease'):deployment_id>")
@authorization.needs(Scope.DEPLOYMENTS_READ)
def show(deployment_id: str) -> Response:
    """Show how far a deployment is."""
    read_query(schemas.Nothing())
    return _answer(context.service().deployments.find(ids.number(deployment_id)))


@blueprint.post("/lease")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
def lease() -> Response:
    """Take deployments in hand for a while."""
    read_query(schemas.Nothing())
    order = read_json(deployment_schemas.LeaseOrder())
    taken = context.service().leases.lease(
        order["max"], order["lease_seconds"], context.caller().login, order["policy"]
    )
    return jsonify({"items": [_write(each) for each in taken]})


@blueprint.post("/<deployment_id>/profile")
@authorization.needs(Scope.DEPLOYMENTS_WRITE, Scope.KEYS_RELEASE)
@negotiation.offers(profiles.MEDIA_TYPE)
def profile(deployment_id: str) -> Response:
    """Make the profile of a deployment in hand, once this is recorded."""
    read_query(schemas.Nothing())
    order = read_json(deployment_schemas.HeldLease())
    made = context.service().profile_release.release(
        ids.number(deployment_id), order["lease"], context.caller().login
    )
    return profiles.answer_with_profile(made.content, made.fingerprint_sha256)


@blueprint.post("/<deployment_id>/report")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
def report(deployment_id: str) -> Response:
    """Note what became of a deployment in hand."""
    read_query(schemas.Nothing())
    told = read_json(deployment_schemas.Report())
    if told["state"] in _OF_RELEASED:
        authorization.require(Scope.KEYS_RELEASE)
    return _answer(_note(ids.number(deployment_id), told, context.caller().login))


@blueprint.post("/<deployment_id>/retry")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
def retry(deployment_id: str) -> Response:
    """Make a deployment that failed ready again."""
    read_query(schemas.Nothing())
    return _answer(context.service().leases.retry(ids.number(deployment_id), context.caller().login))


def _note(deployment_id: int, told: dict[str, Any], deployer: str) -> Deployment:
    leases = context.service().leases
    held = deployment_id, told["lease"], deployer
    match told["state"]:
        case DeploymentState.DELIVERED:
            seconds = told.get("lease_seconds", deployment_schemas.DEFAULT_LEASE_SECONDS)
            return leases.report_delivered(*held, seconds)
        case DeploymentState.INSTALLED:
            return leases.report_installed(*held, told["certificate_sha256"])
        case DeploymentState.REMOVED:
            return leases.report_removed(*held)
    code, detail = told.get("code", _DEFAULT_CODE), told.get("detail", _DEFAULT_DETAIL)
    return leases.report_failed(*held, code, detail)


def _write(taken: Lease) -> dict[str, Any]:
    deployment = taken.deployment
    link = None
    if taken.action is Action.INSTALL:
        link = url_for(".profile", deployment_id=deployment.id)
    identifier = context.service().deployments.profile_identifier(deployment)
    return deployment_schemas.write_lease(taken, link, identifier)


def _answer(found: Deployment) -> Response:
    return jsonify(deployment_schemas.DeploymentReport().dump(found))
