"""A row with a value that there is not breaks no list: it is left out or shown by itself. On both databases, written
by SQL, as by somebody who has the database and not the master key, or by a later release.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import structlog.testing

from bulkcert.access.accounts import Accounts
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.errors import ForgedRows
from bulkcert.integrity.demand import CHECK, seal_check
from bulkcert.store.tables import access, certificates, deployments, imports, mdm, schema
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_requests import RequestKind
from bulkcert.values.certificates import CertificateFilter
from bulkcert.values.deployments import DeploymentFilter
from bulkcert.values.devices import DeviceOrder, DeviceQuery
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.mdm import CommandStatus, MdmCommand, RequestType
from bulkcert.values.pages import Page
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import PrincipalKind, Role, Scope, Session
from bulkcert.values.workers import Worker, WorkerState
from bulkcert.wiring.proofs import find_forged
from tests.builders import NOW, a_bundle
from tests.passwords import CheapPasswords
from tests.values.policies.policy_documents import a_document
from tests.verbs import Verbs

DEVICES = ("A12BC3D4EFGH", "A12BC3D4EFGJ", "A12BC3D4EFGK")
LATER = NOW + timedelta(days=1)
BUNDLE = a_bundle(DEVICES)


@pytest.fixture(name="verbs")
def full_verbs(any_verbs: Verbs) -> Verbs:
    """Three of everything."""
    verbs = any_verbs
    accounts = Accounts(verbs.store, CheapPasswords(), None, verbs.clock)
    with verbs.store.writing() as tx:
        tx.keys.insert_check(CHECK, seal_check(verbs.vault))
        for number, device in enumerate(DEVICES):
            user = tx.principals.insert_user(f"user{number}", "a hash", Role.OWNER, NOW)
            tx.tokens.insert(Session(f"{number}", user.id, user.login, frozenset(Scope), NOW, LATER))
            tx.workers.insert(worker(number))
            tx.mdm.see(udid := f"udid{number}", NOW)
            tx.mdm.pin(identity := DeviceIdentity(IdentityType.IMEI, device), udid, NOW)
            tx.mdm.contend(identity, "another")
            tx.events.append(Event(EventType.LOGOUT, NOW, "olga", {}))
    for number in range(3):
        accounts.create_client(f"client {number}", frozenset({Scope.ADMIN}), "test")
        policies = VpnPolicies(verbs.store, verbs.clock)
        policies.create(VpnPolicy.from_document(a_document(name=f"policy {number}")), verbs.caller)
        verbs.import_bundle(BUNDLE)
    with verbs.store.writing() as tx:
        [first] = tx.deployments.lease(1, NOW, LATER, "test")
        for number in range(3):
            order = (
                RequestType.INSTALL_PROFILE,
                first.deployment.id,
                first.token,
                NOW,
                CommandStatus.WAITING,
            )
            tx.mdm_commands.record(MdmCommand(f"uuid{number}", "udid0", *order))
    return verbs


def worker(number: int) -> Worker:
    return Worker(f"worker{number}", "host", 1, "1", WorkerState.RUNNING, NOW, NOW, None, 0)


def whole(read: Callable[[Transaction, str | None], Page[Any]]) -> Callable[[Transaction], Sequence[Any]]:
    """All pages of a list, of one row each."""

    def walk(tx: Transaction) -> Sequence[Any]:
        found, cursor = [], None
        while True:
            page = read(tx, cursor)
            found += page.items
            if (cursor := page.next_cursor) is None:
                return found

    return walk


ALL = DeploymentFilter()
LISTS: dict[str, Callable[[Transaction], Sequence[Any]]] = {
    "certificates": whole(lambda tx, cursor: tx.certificates.page(CertificateFilter(), 1, cursor)),
    "standings": lambda tx: tx.certificates.summaries(IdentityType.SERIAL_NUMBER, DEVICES),
    "chains": whole(lambda tx, cursor: tx.certificates.chain_page(1, cursor)),
    "imports": whole(lambda tx, cursor: tx.requests.page(RequestKind.IMPORT, 1, cursor)),
    "deployments": whole(lambda tx, cursor: tx.deployments.page(ALL, 1, cursor)),
    "counts": lambda tx: list(tx.deployments.counts(ALL).values()),
    "leases": lambda tx: tx.deployments.lease(100, LATER, LATER, "me"),
    "devices": lambda tx: tx.devices.page(DeviceQuery(None, 0, 100, DeviceOrder.ID, is_descending=False)),
    "workers": lambda tx: tx.workers.list(100),
    "policies": whole(lambda tx, cursor: tx.policies.page(1, cursor)),
    "events": lambda tx: tx.events.list(),
    "contested": whole(lambda tx, cursor: tx.mdm.contested(1, cursor)),
    "commands": lambda tx: tx.mdm_commands.claim(NOW, NOW, 100),
    "sealed keys": lambda tx: [number for number, kept in tx.device_keys.page(0, 100) if kept],
}
ALTERED = [
    ("certificates", certificates.certificates, {"state": "gone"}),
    ("certificates", certificates.certificates, {"identity_type": "BLOOD_GROUP"}),
    ("certificates", certificates.certificates, {"key_type": "CLAY"}),
    ("certificates", certificates.certificates, {"names": "no JSON"}),
    ("certificates", certificates.certificates, {"names": "[]"}),
    ("standings", certificates.certificates, {"state": "gone"}),
    ("devices", certificates.device_keys, {"identity_type": "BLOOD_GROUP"}),
    ("sealed keys", certificates.certificates, {"identity_type": "BLOOD_GROUP"}),
    ("imports", imports.bulk_requests, {"state": "lost"}),
    ("imports", imports.bulk_requests, {"identity_type": "BLOOD_GROUP"}),
    ("imports", imports.bulk_requests, {"on_conflict": "fight"}),
    ("deployments", deployments.deployments, {"state": "lost"}),
    ("deployments", deployments.deployments, {"identity_type": "BLOOD_GROUP"}),
    ("leases", deployments.deployments, {"identity_type": "BLOOD_GROUP"}),
    ("workers", imports.workers, {"state": "asleep"}),
    ("policies", deployments.vpn_policies, {"document": "no JSON"}),
    ("policies", deployments.vpn_policies, {"document": "{}"}),
    ("events", schema.events, {"number": 999}),
    ("events", schema.events, {"facts": "no JSON"}),
    ("contested", mdm.mdm_identities, {"identity_type": "BLOOD_GROUP"}),
    ("commands", mdm.mdm_commands, {"request_type": "EraseDevice"}),
]


def alter(connection: sa.Connection, table: sa.Table, values: dict[str, object]) -> None:
    """Change the newest row of a device, or of whatever there is."""
    [key] = list(table.primary_key)[:1]
    key = table.c.identity if table.name in {"device_keys", "mdm_identities"} else key
    is_listed = [table.c.kind == "device"] if table is certificates.certificates else []
    newest = connection.execute(sa.select(sa.func.max(key)).where(*is_listed)).scalar_one()
    connection.execute(sa.update(table).where(key == newest).values(values))


def test_p32_a_value_that_there_is_not_takes_one_row_out_of_a_list(verbs: Verbs) -> None:
    def number(connection: sa.Connection, name: str) -> int:
        with Transaction(connection).dry_run() as _:
            return len(LISTS[name](Transaction(connection)))

    for name, table, values in ALTERED:
        with verbs.store.engine.connect() as connection, connection.begin() as attack:
            before = number(connection, name)
            alter(connection, table, values)
            with structlog.testing.capture_logs() as lines:
                after = number(connection, name)
            attack.rollback()

        assert (before - after, after > 0) == (1, True), (name, values)
        assert {line["code"] for line in lines if line["log_level"] == "critical"} == {"forged_row"}


@pytest.mark.parametrize("values", [{"outcome": "lost"}, {"found": "toast"}], ids=str)
def test_p32_a_report_with_an_item_of_values_that_there_are_not_is_refused(
    verbs: Verbs, values: dict[str, object]
) -> None:
    request, other = verbs.import_bundle(BUNDLE), verbs.import_bundle(BUNDLE)
    with verbs.store.engine.begin() as connection:
        named = imports.items.c.request_id == request.id, imports.items.c.position == 1
        connection.execute(sa.update(imports.items).where(*named).values(values))

    items = whole(lambda tx, cursor: tx.items.page(request.id, None, 1, cursor))
    with pytest.raises(ForgedRows), verbs.store.reading() as tx:
        items(tx)
    assert len(verbs.items(other)) == 3


@pytest.mark.parametrize(
    "values", [{"role": "emperor"}, {"role": None, "scopes": "admin everything"}], ids=str
)
def test_p32_a_user_with_a_role_that_there_is_not_is_listed_and_can_be_disabled(
    verbs: Verbs, values: dict[str, object]
) -> None:
    accounts = Accounts(verbs.store, CheapPasswords(), None, verbs.clock)
    with verbs.store.engine.begin() as connection:
        named = access.principals.c.login == "user1"
        connection.execute(sa.update(access.principals).where(named).values(values))

    users = accounts.users(10, None).items
    assert [(user.login, user.role) for user in users] == [
        ("user0", Role.OWNER), ("user1", None), ("user2", Role.OWNER),
    ]  # fmt: skip
    with pytest.raises(ForgedRows):
        accounts.change_role("user1", Role.AUDITOR, "test")
    assert "user user1 (id 2)" in list(find_forged(verbs.store, verbs.vault, NOW))
    accounts.disable_user("user1", "test")
    assert list(find_forged(verbs.store, verbs.vault, NOW)) == []


def test_p32_scopes_that_there_are_not_are_nobodys(verbs: Verbs) -> None:
    with verbs.store.engine.begin() as connection:
        connection.execute(
            sa.update(access.principals).where(access.principals.c.kind == "client").values(scopes="x")
        )
        connection.execute(sa.update(access.tokens).where(access.tokens.c.id == "1").values(scopes="admin x"))

    with verbs.store.reading() as tx:
        clients = tx.principals.page(PrincipalKind.CLIENT, 10, None).items
        sessions = tx.tokens.page(None, NOW, None, 10, None).items
        assert tx.tokens.find("1", NOW, None) is None
    assert [client.scopes for client in clients] == [frozenset()] * 3
    assert [session.scopes for session in sessions] == [
        frozenset(Scope), frozenset({Scope.ADMIN}), frozenset(Scope),
    ]  # fmt: skip


def test_p32_check_names_a_certificate_of_a_type_that_there_is_not(verbs: Verbs) -> None:
    with verbs.store.engine.begin() as connection:
        alter(connection, certificates.certificates, {"identity_type": "BLOOD_GROUP"})

    [name] = find_forged(verbs.store, verbs.vault, NOW)
    assert name.startswith("certificate ")


@pytest.mark.parametrize("values", [{"kind": "wish"}, {"state": "lost"}, {"on_conflict": "fight"}], ids=str)
def test_p32_an_import_that_nobody_can_read_delays_no_other(verbs: Verbs, values: dict[str, object]) -> None:
    altered = verbs.accept(a_bundle(["B12BC3D4EFGH"]))
    with verbs.store.engine.begin() as connection:
        named = imports.bulk_requests.c.id == altered.id
        connection.execute(sa.update(imports.bulk_requests).where(named).values(values))
    other = verbs.accept(a_bundle(["C12BC3D4EFGH"]))
    verbs.work()

    assert verbs.intake.wait(other.id, 0).state.is_finished


def test_p32_a_policy_that_nobody_can_read_stops_no_import(verbs: Verbs) -> None:
    with verbs.store.engine.begin() as connection:
        alter(connection, deployments.vpn_policies, {"document": "no JSON"})

    assert verbs.import_bundle(a_bundle(["B12BC3D4EFGH"])).counts.created == 1
