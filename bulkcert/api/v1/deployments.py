"""Deployments: profiles on their way to devices, and the feed for the deployers that deliver them."""

from flask import Blueprint, Response, url_for

from bulkcert.api import authorization, context
from bulkcert.api.v1 import negotiation
from bulkcert.api.v1.answers import PROFILE, answer_with_profile, dump_page
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import deployments
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.values.deployments import Action, Deployment, DeploymentFilter, Lease
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.policies import DeploymentState
from bulkcert.values.principals import Scope

_DEFAULT_CODE = "deployer_failed"
_DEFAULT_DETAIL = "The deployer did not say why."

_OF_RELEASED = frozenset({DeploymentState.DELIVERED, DeploymentState.INSTALLED})
"""Only a caller that may fetch the profile may report these states."""

blueprint = Blueprint("deployments", __name__, url_prefix="/deployments")


@blueprint.get("")
@authorization.needs(Scope.DEPLOYMENTS_READ)
@reads(query=deployments.DeploymentsQuery)
def index(query: Values) -> Values:
    """List deployments, the oldest first, with their number in each state."""
    limit, cursor, state = query.pop("limit"), query.pop("cursor"), query.pop("state")
    if query["identity_type"] is not None and query["identity"] is not None:
        query["identity"] = DeviceIdentity.parse(query["identity_type"], query["identity"]).value
    service = context.service()
    page = service.deployments.page(DeploymentFilter(state=state, **query), limit, cursor)
    counts = service.deployments.counts(DeploymentFilter(**query))
    return dump_page(page, deployments.DeploymentReport()) | {"counts": counts}


@blueprint.get("/<id_except('lease'):deployment_id>")
@authorization.needs(Scope.DEPLOYMENTS_READ)
@reads()
@answers(deployments.DeploymentReport)
def show(deployment_id: str) -> Deployment:
    """Show a deployment."""
    return context.service().deployments.find(parse_id(deployment_id))


@blueprint.post("/lease")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
@reads(body=deployments.LeaseOrder)
def lease(order: Values) -> Values:
    """Lease deployments to the caller for a while."""
    taken = context.service().leases.lease(
        order["max"], order["lease_seconds"], context.caller().login, order["policy"]
    )
    return {"items": [_write(each) for each in taken]}


@blueprint.post("/<deployment_id>/profile")
@authorization.needs(Scope.DEPLOYMENTS_WRITE, Scope.KEYS_RELEASE)
@negotiation.offers(PROFILE)
@reads(body=deployments.HeldLease)
def profile(order: Values, deployment_id: str) -> Response:
    """Record the release, then return the profile of a leased deployment."""
    made = context.service().profile_release.release(
        parse_id(deployment_id), order["lease"], context.caller().login
    )
    return answer_with_profile(made.content, made.fingerprint_sha256)


@blueprint.post("/<deployment_id>/report")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
@reads(body=deployments.Report)
@answers(deployments.DeploymentReport)
def report(told: Values, deployment_id: str) -> Deployment:
    """Record the outcome of a leased deployment."""
    if told["state"] in _OF_RELEASED:
        authorization.require(Scope.KEYS_RELEASE)
    return _record(parse_id(deployment_id), told, context.caller().login)


@blueprint.post("/<deployment_id>/retry")
@authorization.needs(Scope.DEPLOYMENTS_WRITE)
@reads()
@answers(deployments.DeploymentReport)
def retry(deployment_id: str) -> Deployment:
    """Set a failed deployment ready again."""
    return context.service().leases.retry(parse_id(deployment_id), context.caller().login)


def _record(deployment_id: int, told: Values, deployer: str) -> Deployment:
    leases = context.service().leases
    leased = deployment_id, told["lease"], deployer
    match told["state"]:
        case DeploymentState.DELIVERED:
            seconds = told.get("lease_seconds", deployments.DEFAULT_LEASE_SECONDS)
            return leases.report_delivered(*leased, seconds)
        case DeploymentState.INSTALLED:
            return leases.report_installed(*leased, told["certificate_sha256"])
        case DeploymentState.REMOVED:
            return leases.report_removed(*leased)
    code, detail = told.get("code", _DEFAULT_CODE), told.get("detail", _DEFAULT_DETAIL)
    return leases.report_failed(*leased, code, detail)


def _write(taken: Lease) -> Values:
    deployment = taken.deployment
    link = None
    if taken.action is Action.INSTALL:
        link = url_for(".profile", deployment_id=deployment.id)
    identifier = context.service().deployments.profile_identifier(deployment)
    return deployments.write_lease(taken, link, identifier)
