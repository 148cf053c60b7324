"""Deployments: what is on its way to devices, and the feed for whoever carries it there."""

from typing import Any

from flask import Blueprint, Response, jsonify, url_for

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1 import negotiation
from bulkcert.api.v1.answers import PROFILE, answer_with_profile, dump_page
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import deployments, pages
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
    query = read_query(deployments.DeploymentsQuery())
    limit, cursor, state = query.pop("limit"), query.pop("cursor"), query.pop("state")
    if query["identity_type"] is not None and query["identity"] is not None:
        query["identity"] = DeviceIdentity.parse(query["identity_type"], query["identity"]).value
    service = context.service()
    page = service.deployments.page(DeploymentFilter(state=state, **query), limit, cursor)
    counts = service.deployments.counts(DeploymentFilter(**query))
    return jsonify(dump_page(page, deployments.DeploymentReport()) | {"counts": counts})


@blueprint.get("/<id_except('lease'):deployment_id>")
@authorization.needs(Scope.DEPLOYMENTS_READ)
def show(deployment_id: str) -> Response:
    """Show how far a deployment is."""
    read_query(pages.Nothing())
    return _answer(context.service().deployments.find(parse_id(deployment_id)))


@blueprint.post("/lease")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
def lease() -> Response:
    """Take deployments in hand for a while."""
    read_query(pages.Nothing())
    order = read_json(deployments.LeaseOrder())
    taken = context.service().leases.lease(
        order["max"], order["lease_seconds"], context.caller().login, order["policy"]
    )
    return jsonify({"items": [_write(each) for each in taken]})


@blueprint.post("/<deployment_id>/profile")
@authorization.needs(Scope.DEPLOYMENTS_WRITE, Scope.KEYS_RELEASE)
@negotiation.offers(PROFILE)
def profile(deployment_id: str) -> Response:
    """Make the profile of a deployment in hand, once this is recorded."""
    read_query(pages.Nothing())
    order = read_json(deployments.HeldLease())
    made = context.service().profile_release.release(
        parse_id(deployment_id), order["lease"], context.caller().login
    )
    return answer_with_profile(made.content, made.fingerprint_sha256)


@blueprint.post("/<deployment_id>/report")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
def report(deployment_id: str) -> Response:
    """Note what became of a deployment in hand."""
    read_query(pages.Nothing())
    told = read_json(deployments.Report())
    if told["state"] in _OF_RELEASED:
        authorization.require(Scope.KEYS_RELEASE)
    return _answer(_note(parse_id(deployment_id), told, context.caller().login))


@blueprint.post("/<deployment_id>/retry")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
def retry(deployment_id: str) -> Response:
    """Make a deployment that failed ready again."""
    read_query(pages.Nothing())
    return _answer(context.service().leases.retry(parse_id(deployment_id), context.caller().login))


def _note(deployment_id: int, told: dict[str, Any], deployer: str) -> Deployment:
    leases = context.service().leases
    held = deployment_id, told["lease"], deployer
    match told["state"]:
        case DeploymentState.DELIVERED:
            seconds = told.get("lease_seconds", deployments.DEFAULT_LEASE_SECONDS)
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
    return deployments.write_lease(taken, link, identifier)


def _answer(found: Deployment) -> Response:
    return jsonify(deployments.DeploymentReport().dump(found))
