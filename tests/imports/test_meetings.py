"""What happens when two writers meet on a database with several: neither misses what the other has done."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from bulkcert.deployments.policies import VpnPolicies
from bulkcert.errors import StorageFull, Unavailable
from bulkcert.inventory.deletion_transaction import DeletionTransaction, read_devices
from bulkcert.opening.opener import ChildDoesNotStart
from bulkcert.store.certificates.device_keys import DeviceKeys
from bulkcert.store.deployments.planning import Planning
from bulkcert.store.store import Store
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import DeploymentState
from bulkcert.vault.vault import Vault
from tests.builders import a_bundle, a_pkcs12, an_ec_key
from tests.clock import Clock
from tests.deployments.test_leases import a_policy
from tests.verbs import Verbs, make_verbs

SERIAL = IdentityType.SERIAL_NUMBER
A, B = "A12BC3D4EFGH", "B12BC3D4EFGH"


@pytest.fixture
def verbs(postgres_store: Store, vault: Vault, clock: Clock, caller: Any) -> Verbs:
    return make_verbs(postgres_store, vault, clock, caller)


def states(verbs: Verbs) -> list[DeploymentState]:
    with verbs.store.reading() as tx:
        return [found.state for found in tx.deployments.of_device(DeviceIdentity(SERIAL, A))]


def begin(act: Callable[[], object]) -> threading.Thread:
    """Do something in a thread, and give it a second: it may have to wait for us."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join(1)
    return thread


def test_a_policy_made_while_a_chunk_is_committed_serves_its_devices(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = Planning.plan_policy, []

    def plan(self: Planning, *arguments: Any, **rest: Any) -> None:
        real(self, *arguments, **rest)
        begun.append(begin(lambda: verbs.import_bundle(a_bundle([A]))))

    monkeypatch.setattr(Planning, "plan_policy", plan)
    VpnPolicies(verbs.store, verbs.clock).create(a_policy(), verbs.caller)
    begun[0].join()

    assert states(verbs) == [DeploymentState.PENDING]


def test_a_policy_deleted_while_a_chunk_is_committed_serves_nobody(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = VpnPolicies(verbs.store, verbs.clock)
    kept, real, begun = policies.create(a_policy(), verbs.caller), Planning.plan_devices, []

    def plan(self: Planning, *arguments: Any, **rest: Any) -> None:
        begun.append(begin(lambda: policies.delete(kept.id, verbs.caller)))
        real(self, *arguments, **rest)

    monkeypatch.setattr(Planning, "plan_devices", plan)
    verbs.import_bundle(a_bundle([A]))
    begun[0].join()

    assert states(verbs) == [DeploymentState.SUPERSEDED]


def test_a_deletion_leaves_the_owner_of_a_key_that_comes_meanwhile(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, real, begun = an_ec_key(), DeviceKeys.delete_of, []
    bundle = a_bundle([A], files={A: a_pkcs12(A, key=key)})

    def delete_of(self: DeviceKeys, *arguments: Any) -> None:
        monkeypatch.undo()
        begun.append(begin(lambda: verbs.import_bundle(bundle)))
        real(self, *arguments)

    monkeypatch.setattr(DeviceKeys, "delete_of", delete_of)
    with verbs.store.writing() as tx:
        DeletionTransaction(tx, "somebody", verbs.clock()).delete(read_devices([A], SERIAL))
    begun[0].join()
    other = verbs.import_bundle(a_bundle([B], files={B: a_pkcs12(B, key=key)}))

    assert verbs.codes(other) == {B: "duplicate_key"}


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        (Unavailable("away"), "_commit"),
        (StorageFull("full"), "_commit"),
        (ChildDoesNotStart("no memory"), "_open_entries"),
    ],
    ids=["database", "disk", "memory"],
)
def test_an_outage_however_long_fails_no_file(
    store: Store, vault: Vault, clock: Clock, caller: Any, fault: Exception, where: str
) -> None:
    verbs = make_verbs(store, vault, clock, caller)
    request = verbs.accept(a_bundle([A]))

    def break_off(*_: object) -> None:
        raise fault

    with pytest.MonkeyPatch.context() as outage:
        outage.setattr(verbs.chunk_worker, where, break_off)
        for _ in range(12):
            with pytest.raises(type(fault)):
                verbs.chunk_worker.work_once()
    verbs.work()

    assert verbs.codes(request) == {A: "created"}
