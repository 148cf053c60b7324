"""Listing deployments: those of a device are found by an index."""

import pytest

from bulkcert.store.store import Store
from bulkcert.values.deployments import DeploymentFilter
from bulkcert.values.identities import IdentityType
from bulkcert.values.policies import DeploymentState
from tests.store.plans import plan_of


@pytest.mark.parametrize("kind", [None, IdentityType.IMEI])
@pytest.mark.parametrize("state", [None, DeploymentState.PENDING])
def test_the_deployments_of_a_device_are_looked_up(
    store: Store, kind: IdentityType | None, state: DeploymentState | None
) -> None:
    wanted = DeploymentFilter(identity="A12BC3D4EFGH", identity_type=kind, state=state)

    plan = "\n".join(plan_of(store, lambda tx: tx.deployments.page(wanted, 100, None)))

    assert "INDEX ix_deployments_identity (identity_type=? AND identity=?)" in plan
    assert "SCAN" not in plan
