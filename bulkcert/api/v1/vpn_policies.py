"""VPN policies: the profile and the devices that get it."""

from flask import Blueprint, Response, jsonify, url_for

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json
from bulkcert.api.v1 import negotiation
from bulkcert.api.v1.answers import PROFILE, answer_with_profile
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import deployments, pages
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.values.deployments import DeploymentFilter, KeptPolicy
from bulkcert.values.pages import Page
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import Scope

MOST_BYTES = 1024**2
"""Ten thousand identities and twenty roots fit."""

blueprint = Blueprint("vpn_policies", __name__, url_prefix="/vpn-policies")


@blueprint.post("")
@authorization.needs(Scope.POLICIES_WRITE)
@reads()
def create() -> Response:
    """Create a policy and plan its deployments."""
    kept = context.service().vpn_policies.create(_read_policy(), context.caller())
    response = jsonify(deployments.KeptPolicy().dump(kept))
    response.status_code = 201
    response.headers["Location"] = url_for(".show", policy_id=kept.id)
    return response


@blueprint.get("")
@authorization.needs(Scope.POLICIES_READ)
@reads(query=pages.PageQuery)
@answers(deployments.KeptPolicy)
def index(query: Values) -> Page[KeptPolicy]:
    """List policies, the oldest first."""
    return context.service().vpn_policies.page(**query)


@blueprint.get("/<policy_id>")
@authorization.needs(Scope.POLICIES_READ)
@reads()
def show(policy_id: str) -> Values:
    """Show a policy, and the number of its deployments in each state."""
    service = context.service()
    kept = service.vpn_policies.find(parse_id(policy_id))
    counts = service.deployments.counts(DeploymentFilter(policy_id=kept.id))
    return {**deployments.KeptPolicy().dump(kept), "deployments": counts}


@blueprint.put("/<policy_id>")
@authorization.needs(Scope.POLICIES_WRITE)
@reads(query=deployments.RemovalQuery)
@answers(deployments.KeptPolicy)
def replace(query: Values, policy_id: str) -> KeptPolicy:
    """Replace a policy; a device is deployed to again where its profile changes."""
    return context.service().vpn_policies.replace(
        parse_id(policy_id), _read_policy(), context.caller(), removes=query["remove_profiles"]
    )


@blueprint.delete("/<policy_id>")
@authorization.needs(Scope.POLICIES_WRITE)
@reads(query=deployments.RemovalQuery)
def delete(query: Values, policy_id: str) -> Response:
    """Delete a policy; its profiles stay on devices unless `remove_profiles` is true."""
    removes = query["remove_profiles"]
    context.service().vpn_policies.delete(parse_id(policy_id), context.caller(), removes=removes)
    return Response(status=204)


@blueprint.post("/<policy_id>/profile")
@authorization.needs(Scope.KEYS_RELEASE, Scope.CERTIFICATES_READ)
@negotiation.offers(PROFILE)
@reads(body=deployments.ProfileOrder)
def export(order: Values, policy_id: str) -> Response:
    """Record the release, then return the profile of one device for installation by hand."""
    made = context.service().profile_release.export(
        parse_id(policy_id), order["certificate_id"], context.caller().login
    )
    return answer_with_profile(made.content, made.fingerprint_sha256)


def _read_policy() -> VpnPolicy:
    return VpnPolicy.from_document(read_json(deployments.PolicyDocument(), MOST_BYTES))
