"""VPN policies: what to put on devices."""

from flask import Blueprint, Response, jsonify, url_for

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1 import negotiation
from bulkcert.api.v1.answers import PROFILE, answer_with_profile, dump_page
from bulkcert.api.v1.request_parts import parse_id
from bulkcert.api.v1.schemas import deployments, pages
from bulkcert.values.deployments import DeploymentFilter
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import Scope

MOST_BYTES = 1024**2
"""Ten thousand identities and twenty roots fit."""

blueprint = Blueprint("vpn_policies", __name__, url_prefix="/vpn-policies")


@blueprint.post("")
@authorization.needs(Scope.POLICIES_WRITE)
def create() -> Response:
    """Keep a new policy; the deployments that it wants are planned when the answer comes."""
    read_query(pages.Nothing())
    kept = context.service().vpn_policies.create(_read_policy(), context.caller())
    response = jsonify(deployments.KeptPolicy().dump(kept))
    response.status_code = 201
    response.headers["Location"] = url_for(".show", policy_id=kept.id)
    return response


@blueprint.get("")
@authorization.needs(Scope.POLICIES_READ)
def index() -> Response:
    """List policies, the oldest first."""
    page = context.service().vpn_policies.page(**read_query(pages.PageQuery()))
    return jsonify(dump_page(page, deployments.KeptPolicy()))


@blueprint.get("/<policy_id>")
@authorization.needs(Scope.POLICIES_READ)
def show(policy_id: str) -> Response:
    """Show a policy, and how many of its deployments are in which state."""
    read_query(pages.Nothing())
    service = context.service()
    kept = service.vpn_policies.find(parse_id(policy_id))
    counts = service.deployments.counts(DeploymentFilter(policy_id=kept.id))
    return jsonify(deployments.KeptPolicy().dump(kept) | {"deployments": counts})


@blueprint.put("/<policy_id>")
@authorization.needs(Scope.POLICIES_WRITE)
def replace(policy_id: str) -> Response:
    """Put a policy in the place of another; devices whose profile changes get it anew."""
    removes = read_query(deployments.RemovalQuery())["remove_profiles"]
    kept = context.service().vpn_policies.replace(
        parse_id(policy_id), _read_policy(), context.caller(), removes=removes
    )
    return jsonify(deployments.KeptPolicy().dump(kept))


@blueprint.delete("/<policy_id>")
@authorization.needs(Scope.POLICIES_WRITE)
def delete(policy_id: str) -> Response:
    """Delete a policy; its profiles stay on devices unless they are to be removed."""
    removes = read_query(deployments.RemovalQuery())["remove_profiles"]
    context.service().vpn_policies.delete(parse_id(policy_id), context.caller(), removes=removes)
    return Response(status=204)


@blueprint.post("/<policy_id>/profile")
@authorization.needs(Scope.KEYS_RELEASE, Scope.CERTIFICATES_READ)
@negotiation.offers(PROFILE)
def export(policy_id: str) -> Response:
    """Make the profile of one device for installing by hand, once this is recorded."""
    read_query(pages.Nothing())
    order = read_json(deployments.ProfileOrder())
    made = context.service().profile_release.export(
        parse_id(policy_id), order["certificate_id"], context.caller().login
    )
    return answer_with_profile(made.content, made.fingerprint_sha256)


def _read_policy() -> VpnPolicy:
    return VpnPolicy.from_document(read_json(deployments.PolicyDocument(), MOST_BYTES))
