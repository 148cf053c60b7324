"""Devices are listed from indexes: no list reads the rows that hold certificates and sealed keys."""

import pytest

from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.devices import DeviceOrder, DeviceQuery
from tests.store.plans import plan_of


@pytest.mark.parametrize("order", DeviceOrder)
@pytest.mark.parametrize("text", [None, "12bc"])
@pytest.mark.parametrize("descending", [False, True])
def test_a_list_reads_indexes_alone(
    store: Store, order: DeviceOrder, text: str | None, descending: bool
) -> None:
    def ask(tx: Transaction) -> None:
        tx.devices.count(text)
        tx.devices.page(DeviceQuery(text, 0, 10, order, descending))

    plans = plan_of(store, ask)

    reads = [step for step in plans if step.startswith(("SCAN device_keys", "SEARCH", "SCAN certificates"))]
    assert len(reads) >= 3
    assert all("COVERING INDEX" in step for step in reads), plans
    by_identity = order is DeviceOrder.IDENTITY
    assert by_identity == (not any("TEMP B-TREE" in step for step in plans)), plans
