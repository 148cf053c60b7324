"""What an account can make without end is bounded, and says so or makes room."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bulkcert.access.accounts import Accounts
from bulkcert.access.hashing import digest_of
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.errors import LimitReached
from bulkcert.store.store import Store
from bulkcert.store.tables.access import client_secrets
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import Principal, Role, Scope, Session
from bulkcert.values.secret import Secret
from tests.builders import NOW
from tests.clock import Clock
from tests.passwords import CheapPasswords
from tests.values.policies.policy_documents import a_document
from tests.verbs import Verbs

SCOPES = frozenset({Scope.IMPORTS_READ})
PASSWORD = Secret(b"correct horse battery staple")


@pytest.fixture
def accounts(store: Store, clock: Clock) -> Accounts:
    return Accounts(store, CheapPasswords(), None, clock)


def test_policies_are_as_many_as_the_limit_says(verbs: Verbs) -> None:
    policies = VpnPolicies(verbs.store, verbs.clock, 2)
    first = policies.create(VpnPolicy.from_document(a_document(name="1")), verbs.caller)
    policies.create(VpnPolicy.from_document(a_document(name="2")), verbs.caller)
    third = VpnPolicy.from_document(a_document(name="3"))

    with pytest.raises(LimitReached, match="2 VPN policies"):
        policies.create(third, verbs.caller)
    policies.delete(first.id, verbs.caller)
    assert policies.create(third, verbs.caller).policy.name == "3"


def test_users_and_clients_are_bounded(
    accounts: Accounts, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("bulkcert.store.access.principals._MOST_OF_A_KIND", 2)
    for number in range(2):
        accounts.create_user(f"user-{number}", Role.AUDITOR, PASSWORD, "cli:root")
        accounts.create_client(f"client {number}", SCOPES, "cli:root")

    with pytest.raises(LimitReached, match="2 users"):
        accounts.create_user("one-more", Role.AUDITOR, PASSWORD, "cli:root")
    with pytest.raises(LimitReached, match="2 clients"):
        accounts.create_client("one more", SCOPES, "cli:root")
    accounts.disable_client(accounts.clients(1, None).items[0].login, "cli:root")


def keep_tokens(store: Store, of: Principal, numbers: range) -> None:
    with store.writing() as tx:
        for number in numbers:
            at = NOW + timedelta(seconds=number)
            tx.tokens.insert(
                Session(f"{of.id:08}{number:024}", of.id, of.login, SCOPES, at, at + timedelta(hours=9))
            )


def test_a_new_token_ends_the_oldest_of_the_same_account_alone(
    accounts: Accounts, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkcert.store.access.tokens.MOST_OF_ONE", 3)
    greedy = accounts.create_client("greedy", SCOPES, "cli:root").client
    other = accounts.create_client("other", SCOPES, "cli:root").client
    keep_tokens(store, other, range(1))
    keep_tokens(store, greedy, range(5))

    with store.reading() as tx:
        assert len(tx.tokens.page(other.id, NOW, None, 10, None).items) == 1
        left = tx.tokens.page(greedy.id, NOW, None, 10, None).items
    assert [session.token_id[-1] for session in left] == ["2", "3", "4"]


def test_a_client_keeps_its_newest_secrets(accounts: Accounts, store: Store, clock: Clock) -> None:
    issued = accounts.create_client("rotated", SCOPES, "cli:root")
    for _ in range(14):
        clock.pass_by(seconds=1)
        newest = accounts.rotate_client(issued.client.login, timedelta(days=30), "cli:root")

    with store.writing() as tx:
        number = tx._connection.execute(sa.select(sa.func.count()).select_from(client_secrets)).scalar_one()
        first = tx.client_secrets.lock_owner(issued.client.login, digest_of(issued.secret), clock())
        last = tx.client_secrets.lock_owner(issued.client.login, digest_of(newest.secret), clock())
    assert number == 10
    assert first is None
    assert last == issued.client
