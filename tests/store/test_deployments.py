"""Listing deployments: those of a device are found by an index."""

from typing import Any

import pytest
import sqlalchemy as sa

from bulkcert.identities import IdentityType
from bulkcert.policies import DeploymentState
from bulkcert.policies.deployments import DeploymentFilter
from bulkcert.store import Store


@pytest.mark.parametrize("kind", [None, IdentityType.IMEI])
@pytest.mark.parametrize("state", [None, DeploymentState.PENDING])
def test_the_deployments_of_a_device_are_looked_up(
    store: Store, kind: IdentityType | None, state: DeploymentState | None
) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    wanted = DeploymentFilter(identity="A12BC3D4EFGH", identity_type=kind, state=state)
    with store.reading() as tx:
        assert tx.deployments.page(wanted, 100, None).items == ()
    sa.event.remove(store.engine, "before_cursor_execute", note)

    [(statement, parameters)] = [each for each in asked if each[0].startswith("SELECT")]
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = "\n".join(row.detail for row in rows)
    assert "INDEX ix_deployments_identity (identity_type=? AND identity=?)" in plan
    assert "SCAN" not in plan
