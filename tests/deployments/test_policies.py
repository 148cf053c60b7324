"""Trusted roots of a policy are certificates of CAs, however oddly written, before the policy is kept."""

import ssl

import pytest

from bulkcert.deployments.policies import VpnPolicies
from bulkcert.errors.policies import PolicyRefused
from bulkcert.store.store import Store
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import Caller
from tests.builders import an_ec_key
from tests.clock import Clock
from tests.formats.x509 import forge
from tests.values.policies.policy_documents import ROOT_PEM, a_document, a_pem

BROKEN_PEM = ROOT_PEM[:100] + ROOT_PEM[104:]


@pytest.fixture
def policies(store: Store, clock: Clock) -> VpnPolicies:
    return VpnPolicies(store, clock)


def a_policy(*pems: str) -> VpnPolicy:
    return VpnPolicy.from_document(a_document(trusted_roots=list(pems)))


@pytest.mark.parametrize(
    ("pems", "said"),
    [
        ([BROKEN_PEM], ["Certificate 1 of 1 cannot be read."]),
        ([a_pem(client=True)], ["Certificate 1 of 1 is neither self-signed nor a CA's: nothing trusts it."]),
        (
            [ROOT_PEM, BROKEN_PEM, a_pem(client=True)],
            [
                "Certificate 2 of 3 cannot be read.",
                "Certificate 3 of 3 is neither self-signed nor a CA's: nothing trusts it.",
            ],
        ),
    ],
)
def test_a_policy_whose_roots_nothing_trusts_is_refused(
    policies: VpnPolicies, caller: Caller, pems: list[str], said: list[str]
) -> None:
    kept = policies.create(a_policy(ROOT_PEM), caller)
    with pytest.raises(PolicyRefused) as refused:
        policies.create(a_policy(*pems), caller)
    with pytest.raises(PolicyRefused) as refused_again:
        policies.replace(kept.id, a_policy(*pems), caller)

    for refusal in (refused.value, refused_again.value):
        assert [(fault.where, fault.detail) for fault in refusal.faults] == [
            ("trusted_roots", each) for each in said
        ]
    assert policies.find(kept.id) == kept


def test_a_trusted_root_may_be_written_oddly(policies: VpnPolicies, caller: Caller) -> None:
    key = an_ec_key()
    name = forge.name((forge.CN, forge.PRINTABLE, b"A&B CA"))
    root = forge.certificate(key, subject=name, issuer=name, signer=key)

    kept = policies.create(a_policy(ssl.DER_cert_to_PEM_cert(root)), caller)

    assert policies.find(kept.id).policy.trusted_roots == (root,)
