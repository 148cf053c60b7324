"""Promise P32: whoever writes rows of users, clients, secrets or tokens by hand gets in by none of them, and each is
found by `bulkcert check`. On both databases; whoever attacks has every table, and not the master key.

Putting back an older whole row is not prevented.
"""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import structlog.testing

from bulkcert.access.accounts import Accounts
from bulkcert.access.hashing import digest_of
from bulkcert.access.logins import Access, TokenRules
from bulkcert.errors import (
    AlreadyExists,
    ForgedRows,
    LastOwner,
    LoginsCollide,
    NotFound,
    Unauthenticated,
    WrongCredentials,
)
from bulkcert.integrity.demand import CHECK, Demand, seal_check
from bulkcert.store.store import Store
from bulkcert.store.tables.access import client_secrets, principals, tokens
from bulkcert.store.tables.schema import vault_checks
from bulkcert.values.principals import SCOPES_OF, Caller, Principal, Role, Scope, Session
from bulkcert.values.secret import Secret
from bulkcert.vault.vault import Vault
from bulkcert.wiring.proofs import bind_keys, fill_login_keys, find_forged, is_finished
from tests.clock import Clock
from tests.passwords import CheapPasswords

PASSWORDS = CheapPasswords()
OWNERS, OLGAS = Secret(b"correct horse battery"), Secret(b"another battery horse")
KNOWN = Secret(b"bcs_a secret that the attacker chose")
SOURCE = "192.0.2.1"


class Instance:
    """An administrator, Olga who is an auditor, and a client that reads certificates."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, demand: Demand) -> None:
        self.store, self.vault, self.clock = store, vault, clock
        self.access = Access(store, vault, PASSWORDS, TokenRules(timedelta(hours=1), None), clock)
        self.accounts = Accounts(store, PASSWORDS, None, clock)
        with store.writing() as tx:
            tx.keys.insert_check(CHECK, seal_check(vault, demand))
            self.access.begin(tx, "administrator", OWNERS)
        self.accounts.create_user("olga", Role.AUDITOR, OLGAS, "test")
        self.client = self.accounts.create_client("reader", frozenset({Scope.CERTIFICATES_READ}), "test")
        self.token = self.log_in("olga", OLGAS)

    def log_in(self, login: str, password: Secret) -> Session:
        return self.access.log_in(login, password, SOURCE)

    def enter(self, secret: Secret | None = None) -> Session:
        return self.access.log_in_client(self.client.client.login, secret or self.client.secret, None, SOURCE)

    def forged(self) -> list[str]:
        return [name.partition(" (")[0] for name in find_forged(self.store, self.vault, self.clock())]

    def execute(self, *statements: sa.Executable) -> None:
        with self.store.engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)

    def row(self, login: str) -> dict[str, Any]:
        with self.store.engine.begin() as connection:
            row = connection.execute(sa.select(principals).where(principals.c.login == login)).one()
            return dict(row._mapping)

    def change(self, login: str, /, **values: object) -> None:
        self.execute(sa.update(principals).where(principals.c.login == login).values(values))

    def be_an_earlier_release(self) -> None:
        """Take the MACs away, as a database of the release before has none."""
        self.execute(*(sa.update(table).values(mac=None) for table in (principals, client_secrets, tokens)))


@pytest.fixture(name="it")
def instance_fixture(any_store: Store, vault: Vault, clock: Clock) -> Instance:
    return Instance(any_store, vault, clock, Demand.ROWS)


@pytest.fixture(name="upgraded")
def upgraded_fixture(any_store: Store, vault: Vault, clock: Clock) -> Instance:
    """A database of the release before, whose rows are not signed, after `bulkcert db upgrade`."""
    upgraded = Instance(any_store, vault, clock, Demand.KEYS)
    upgraded.be_an_earlier_release()
    return upgraded


def no_way_in(it: Instance, login: str = "olga", password: Secret = OLGAS) -> None:
    with pytest.raises(WrongCredentials):
        it.log_in(login, password)


# --- users -------------------------------------------------------------------------------------------


def new_owner(it: Instance) -> None:
    row = it.row("administrator")
    values = {"id": 99, "login": "mallory", "login_key": "mallory", "password_hash": PASSWORDS.hash(OLGAS)}
    it.execute(sa.insert(principals).values(row | values))


ATTACKS: dict[str, tuple[Callable[[Instance], None], str]] = {
    "her role is owner": (lambda it: it.change("olga", role="owner"), "olga"),
    "she is found as another": (lambda it: it.change("olga", login_key="service"), "olga"),
    "a role and its MAC": (
        lambda it: it.change("olga", role="owner", mac=it.row("administrator")["mac"]),
        "olga",
    ),
    "her scopes": (lambda it: it.change("olga", role=None, scopes="admin"), "olga"),
    "her hash is the owner's": (
        lambda it: it.change("administrator", password_hash=it.row("olga")["password_hash"]),
        "administrator",
    ),
    "hash and MAC of the owner": (
        lambda it: it.change(
            "administrator", **{name: it.row("olga")[name] for name in ("password_hash", "mac")}
        ),
        "administrator",
    ),
    "a new owner with a MAC of another": (new_owner, "mallory"),
    "a generation": (lambda it: it.change("olga", generation=7), "olga"),
    "when tokens became valid": (
        lambda it: it.change("olga", tokens_valid_from=it.clock() - timedelta(days=9)),
        "olga",
    ),
    "no MAC": (lambda it: it.change("olga", mac=None), "olga"),
    "an empty MAC": (lambda it: it.change("olga", mac=""), "olga"),
    "a MAC that is no ASCII": (lambda it: it.change("olga", mac="\u00e9" * 64), "olga"),
    "a role that there is not": (lambda it: it.change("olga", role="emperor"), "olga"),
}


@pytest.mark.parametrize(("attack", "login"), ATTACKS.values(), ids=ATTACKS)
def test_p32_a_user_that_was_altered_gets_in_by_nothing_and_is_found(
    it: Instance, attack: Callable[[Instance], None], login: str
) -> None:
    attack(it)

    with structlog.testing.capture_logs() as lines:
        no_way_in(it, login, OLGAS)
        if login == "olga":
            with pytest.raises(Unauthenticated):
                it.access.find_session(it.token.token_id)
    assert it.forged() == [f"user {login}"]
    assert {line["code"] for line in lines if line["log_level"] == "critical"} == {"forged_row"}


def test_p32_swapped_hashes_open_neither_account(it: Instance) -> None:
    first, second = (it.row(login)["password_hash"] for login in ("administrator", "olga"))
    it.change("administrator", password_hash=second)
    it.change("olga", password_hash=first)

    no_way_in(it, "administrator", OLGAS)
    no_way_in(it, "olga", OWNERS)
    assert it.forged() == ["user administrator", "user olga"]


def test_p32_swapped_logins_open_neither_account(it: Instance) -> None:
    it.change("administrator", login="x")
    it.change("olga", login="administrator")
    it.change("x", login="olga")

    no_way_in(it, "administrator", OLGAS)
    no_way_in(it, "olga", OWNERS)
    assert len(it.forged()) == 2


@pytest.mark.parametrize(
    "revived", [{"is_disabled": False}, {"is_disabled": False, "generation": 0}], ids=str
)
def test_p32_whoever_is_disabled_stays_so(it: Instance, revived: dict[str, object]) -> None:
    it.accounts.disable_user("olga", "test")
    assert it.forged() == []
    it.change("olga", **revived)

    no_way_in(it)
    with pytest.raises(Unauthenticated):
        it.access.find_session(it.token.token_id)
    assert it.forged() == ["user olga"]


def test_a_refusal_of_a_forged_row_is_that_of_a_wrong_password(it: Instance) -> None:
    with pytest.raises(WrongCredentials) as wrong:
        it.log_in("olga", OWNERS)
    it.change("olga", role="owner")
    with pytest.raises(WrongCredentials) as forged:
        it.log_in("olga", OLGAS)

    assert (wrong.value.detail, wrong.value.code) == (forged.value.detail, forged.value.code)


# --- what the service writes next does not sign what was forged ---------------------------------------

CHANGES: dict[str, Callable[[Instance], object]] = {
    "role": lambda it: it.accounts.change_role("olga", Role.OPERATOR, "test"),
    "password": lambda it: it.accounts.set_password("olga", OWNERS, "test"),
    "own password": lambda it: it.accounts.change_own_password(caller(it), OLGAS, OWNERS),
}


def caller(it: Instance) -> Caller:
    return Caller(it.token.principal_id, "olga", it.token.token_id, SCOPES_OF[Role.AUDITOR])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_p32_a_change_signs_nothing_that_was_forged(
    it: Instance, change: Callable[[Instance], object]
) -> None:
    it.change("olga", role="owner")
    with pytest.raises((ForgedRows, WrongCredentials)):
        change(it)

    assert it.forged() == ["user olga"]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_signs_what_it_writes(it: Instance, change: Callable[[Instance], object]) -> None:
    change(it)

    assert it.forged() == []


def test_a_hash_that_is_made_stronger_at_a_login_is_signed(it: Instance) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(OLGAS.reveal())
    with it.store.writing() as tx:
        tx.principals.upgrade_hash(it.token.principal_id, weak)
    it.log_in("olga", OLGAS)

    assert it.row("olga")["password_hash"] != weak
    assert it.forged() == []


def test_a_forged_user_can_be_disabled_and_is_found_no_more(it: Instance) -> None:
    it.change("olga", role="owner")
    it.accounts.disable_user("olga", "test")

    assert it.forged() == []
    no_way_in(it)


def test_a_disabled_user_that_was_forged_can_be_disabled_again(it: Instance) -> None:
    it.accounts.disable_user("olga", "test")
    it.change("olga", role="owner")
    it.accounts.disable_user("olga", "test")

    assert it.forged() == []


def test_p32_an_owner_by_hand_does_not_count_as_one(it: Instance) -> None:
    it.change("olga", role="owner")
    with pytest.raises(LastOwner):
        it.accounts.disable_user("administrator", "test")

    it.accounts.disable_user("olga", "test")


# --- clients -----------------------------------------------------------------------------------------


def test_a_client_gets_in_by_its_own_secret_after_each_change(it: Instance) -> None:
    assert it.enter().scopes == {Scope.CERTIFICATES_READ}
    it.client = it.accounts.rotate_client(it.client.client.login, timedelta(hours=1), "test")
    assert it.enter().scopes == {Scope.CERTIFICATES_READ}
    assert it.forged() == []
    it.accounts.disable_client(it.client.client.login, "test")
    assert it.forged() == []


def test_p32_scopes_that_were_altered_are_nobodys(it: Instance) -> None:
    session = it.enter()
    it.change(it.client.client.login, scopes="admin keys:release")

    with pytest.raises(WrongCredentials):
        it.enter()
    with pytest.raises(WrongCredentials):
        it.access.authenticate_client(it.client.client.login, it.client.secret, SOURCE)
    with pytest.raises(Unauthenticated):
        it.access.find_session(session.token_id)
    assert it.forged() == [f"client {it.client.client.login}"]


def a_secret_of_mine(it: Instance) -> None:
    values = {"digest": digest_of(KNOWN), "principal_id": it.client.client.id, "created_at": it.clock()}
    it.execute(sa.insert(client_secrets).values(values))


def another_digest(it: Instance) -> None:
    it.execute(sa.update(client_secrets).values(digest=digest_of(KNOWN)))


def moved_to_another_client(it: Instance) -> None:
    own = it.accounts.create_client("mine", frozenset({Scope.METRICS_READ}), "test")
    digest = digest_of(own.secret)
    it.execute(
        sa.update(client_secrets)
        .where(client_secrets.c.digest == digest)
        .values(principal_id=it.client.client.id)
    )
    it.client = SimpleNamespace(client=it.client.client, secret=own.secret)  # type: ignore[assignment]


@pytest.mark.parametrize("attack", [a_secret_of_mine, another_digest, moved_to_another_client])
def test_p32_a_secret_by_hand_opens_no_client(it: Instance, attack: Callable[[Instance], None]) -> None:
    attack(it)
    secret = it.client.secret if attack is moved_to_another_client else KNOWN

    with pytest.raises(WrongCredentials):
        it.enter(secret)
    assert [name.rpartition(" ")[0] for name in it.forged()] == ["client secret"]
    it.accounts.rotate_client(it.client.client.login, timedelta(hours=1), "test")
    assert it.forged() == []
    with pytest.raises(WrongCredentials):
        it.enter(secret)


def test_p32_a_secret_that_has_ended_does_not_come_back(it: Instance) -> None:
    it.accounts.rotate_client(it.client.client.login, timedelta(0), "test")
    it.execute(sa.update(client_secrets).values(expires_at=None))

    with pytest.raises(WrongCredentials):
        it.enter()


# --- tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"scopes": "admin keys:release"},
        {"principal_id": 1},
        {"expires_at": "later"},
        {"generation": 1, "scopes": "admin"},
        {"mac": None},
    ],
    ids=" ".join,
)
def test_p32_a_token_that_was_altered_is_none(it: Instance, values: dict[str, Any]) -> None:
    if "expires_at" in values:
        values = {"expires_at": it.clock() + timedelta(days=900)}
    it.execute(sa.update(tokens).values(values))

    with pytest.raises(Unauthenticated):
        it.access.find_session(it.token.token_id)
    with pytest.raises(Unauthenticated):
        it.accounts.create_user("mallory", Role.AUDITOR, OLGAS, "olga", caller(it))
    with pytest.raises(NotFound):
        it.accounts.revoke_session(it.token.token_id, None, "test")


def test_p32_an_altered_token_is_found_while_it_could_be_valid(it: Instance) -> None:
    it.execute(sa.update(tokens).values(scopes="admin"))
    assert it.forged() == [f"token {it.token.token_id}"]
    it.clock.pass_by(hours=2)
    assert it.forged() == []


def test_p32_a_token_of_an_earlier_generation_does_not_come_back(it: Instance) -> None:
    it.accounts.set_password("olga", OWNERS, "test")
    it.execute(sa.update(tokens).values(generation=1))

    with pytest.raises(Unauthenticated):
        it.access.find_session(it.token.token_id)


# --- upgrading ---------------------------------------------------------------------------------------


def test_rows_of_an_earlier_release_are_taken_until_the_upgrade_is_finished(upgraded: Instance) -> None:
    it = upgraded
    assert not is_finished(it.store)
    assert it.access.find_session(it.token.token_id) == it.token
    it.log_in("olga", OLGAS)
    it.enter()
    it.accounts.change_role("olga", Role.OPERATOR, "test")
    assert it.forged() == []


def test_what_a_machine_of_the_earlier_release_changes_after_this_one_signed_it_locks_nobody_out(
    upgraded: Instance,
) -> None:
    it = upgraded
    it.accounts.set_password("olga", OWNERS, "test")
    assert it.row("olga")["mac"] is not None
    it.change("olga", password_hash=PASSWORDS.hash(OLGAS), generation=5)  # it knows no `mac`

    with structlog.testing.capture_logs() as lines:
        it.log_in("olga", OLGAS)
    assert {line["log_level"] for line in lines if line.get("code") == "forged_row"} == {"warning"}
    bind_keys(it.store, it.vault)
    it.log_in("olga", OLGAS)
    assert it.forged() == []


def made_by_the_earlier_release(it: Instance, *logins: str) -> None:
    """A process of the release before knows neither keys of logins nor MACs."""
    for number, login in enumerate(logins):
        values = {"id": 90 + number, "login": login, "login_key": None, "mac": None}
        it.execute(sa.insert(principals).values(it.row("olga") | values))


def test_a_user_that_the_earlier_release_makes_after_the_upgrade_is_found(upgraded: Instance) -> None:
    it = upgraded
    made_by_the_earlier_release(it, "Petra")

    it.log_in("Petra", OLGAS)
    with pytest.raises(AlreadyExists):
        it.accounts.create_user("petra", Role.AUDITOR, OLGAS, "test")
    bind_keys(it.store, it.vault)
    it.log_in("petra", OLGAS)
    assert it.forged() == []


def test_a_worker_that_starts_gives_keys_to_what_has_none_and_names_collisions(upgraded: Instance) -> None:
    it = upgraded
    made_by_the_earlier_release(it, "Petra", "OLGA")
    with structlog.testing.capture_logs() as lines:
        fill_login_keys(it.store)

    it.log_in("petra", OLGAS)
    it.log_in("OLGA", OLGAS)
    it.log_in("olga", OLGAS)
    assert [line["logins"] for line in lines if line.get("code") == "logins_collide"] == [["OLGA"]]


def test_finishing_stops_at_a_collision_until_one_is_disabled(upgraded: Instance) -> None:
    it = upgraded
    made_by_the_earlier_release(it, "OLGA")
    with pytest.raises(LoginsCollide, match="OLGA"):
        bind_keys(it.store, it.vault)
    assert not is_finished(it.store)

    it.accounts.disable_user("OLGA", "test")
    bind_keys(it.store, it.vault)
    assert is_finished(it.store)
    it.log_in("olga", OLGAS)
    assert it.forged() == []


def test_p32_a_row_without_a_key_by_hand_gets_none_and_admits_nobody(it: Instance) -> None:
    made_by_the_earlier_release(it, "mallory")
    it.change("olga", login_key=None)
    fill_login_keys(it.store)

    no_way_in(it, "mallory")
    no_way_in(it)
    assert it.forged() == ["user olga", "user mallory"]


def test_finishing_signs_every_row_and_refuses_unsigned_ones_from_then_on(upgraded: Instance) -> None:
    it = upgraded
    bind_keys(it.store, it.vault)

    assert is_finished(it.store)
    assert it.forged() == []
    assert it.access.find_session(it.token.token_id) == it.token
    it.log_in("olga", OLGAS)
    it.enter()
    it.be_an_earlier_release()
    no_way_in(it)
    with pytest.raises(WrongCredentials):
        it.enter()


def test_p32_finishing_again_signs_nothing(it: Instance) -> None:
    it.change("olga", role="owner", mac=None)
    it.change("administrator", role="auditor")
    bind_keys(it.store, it.vault)

    assert it.forged() == ["user administrator", "user olga"]


def test_an_interrupted_finish_demands_nothing_and_goes_on(
    upgraded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = upgraded
    monkeypatch.setattr("bulkcert.store.access.signatures._BATCH", 1)
    with monkeypatch.context() as patch:
        patch.setattr("bulkcert.store.access.signatures.Signatures.sign_rest", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bind_keys(it.store, it.vault)
    assert not is_finished(it.store)
    it.change("olga", generation=9)  # a machine of the earlier release, meanwhile
    it.execute(sa.update(tokens).values(generation=9))
    bind_keys(it.store, it.vault)

    assert it.forged() == []
    assert it.access.find_session(it.token.token_id) == it.token


def interrupt(_self: object) -> None:
    raise KeyboardInterrupt


def test_p32_without_the_check_of_the_master_key_signatures_are_demanded(upgraded: Instance) -> None:
    it = upgraded
    for statement in (sa.update(vault_checks).values(sealed=b"x" * 100), sa.delete(vault_checks)):
        it.execute(statement)
        no_way_in(it)


def test_a_store_without_the_key_that_signs_reads_and_writes_no_principals(it: Instance) -> None:
    without = Store(it.store.engine.url.render_as_string(hide_password=False))
    try:
        with pytest.raises(AssertionError), without.reading() as tx:
            tx.principals.find_user("olga")
        with pytest.raises(AssertionError), without.writing() as tx:
            tx.principals.insert_user("mallory", "hash", Role.OWNER, it.clock())
    finally:
        without.close()


def test_an_older_whole_row_that_is_put_back_is_taken(it: Instance) -> None:
    """As docs/threats.md says: only a counter outside of the database could tell."""
    before = it.row("olga")
    it.accounts.disable_user("olga", "test")
    it.change("olga", **before)

    it.log_in("olga", OLGAS)
    assert it.forged() == []


def test_listing_shows_a_forged_row_as_it_stands(it: Instance) -> None:
    it.change("olga", role="owner")

    found: list[Principal] = list(it.accounts.users(10, None).items)
    assert [user.login for user in found] == ["administrator", "olga"]
