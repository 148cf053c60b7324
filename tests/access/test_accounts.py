"""Users, clients and sessions: what the verbs do, and what they record."""

import contextlib
import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from bulkcert.access.accounts import Accounts
from bulkcert.access.logins import Access, TokenRules
from bulkcert.errors import (
    AlreadyExists,
    CommonPassword,
    InsufficientScope,
    InvalidScope,
    LastOwner,
    MalformedRequest,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    WeakPassword,
    WrongCredentials,
)
from bulkcert.store.store import Store
from bulkcert.values.events import Event, EventType
from bulkcert.values.principals import SCOPES_OF, Caller, IssuedClient, Role, Scope, Session
from bulkcert.values.secret import Secret
from bulkcert.vault.vault import Vault
from tests.clock import Clock
from tests.passwords import CheapPasswords

PASSWORDS = CheapPasswords()
RIGHT, OTHER = Secret(b"correct horse battery"), Secret(b"another battery horse")
SCOPES = frozenset({Scope.IMPORTS_WRITE, Scope.IMPORTS_READ})
INACTIVITY = timedelta(minutes=15)


@pytest.fixture
def access(store: Store, vault: Vault, clock: Clock) -> Access:
    access = Access(store, vault, PASSWORDS, TokenRules(timedelta(hours=1), INACTIVITY), clock)
    with store.writing() as tx:
        access.begin(tx, "administrator", RIGHT)
    return access


@pytest.fixture
def accounts(store: Store, clock: Clock, access: Access) -> Accounts:
    return Accounts(store, PASSWORDS, INACTIVITY, clock)


def log_in(access: Access, login: str, password: Secret = RIGHT) -> Session:
    return access.log_in(login, password, "192.0.2.1")


def caller_of(session: Session) -> Caller:
    return Caller(session.principal_id, session.login, session.token_id, session.scopes)


def enter(access: Access, machine: IssuedClient, wanted: str | None = None) -> Session:
    return access.log_in_client(machine.client.login, machine.secret, wanted, "192.0.2.1")


def newest(store: Store) -> Event:
    with store.reading() as tx:
        return tx.events.list(newest=1)[0]


def test_a_user_is_made_and_recorded(accounts: Accounts, access: Access, store: Store) -> None:
    issued = accounts.create_user("olga", Role.OPERATOR, RIGHT, "administrator")

    assert issued.generated_password is None
    assert issued.user.scopes == SCOPES_OF[Role.OPERATOR]
    event = newest(store)
    assert (event.type, event.actor) == (EventType.USER_CREATED, "administrator")
    assert event.facts == {"login": "olga", "role": "operator"}
    assert log_in(access, "olga").scopes == SCOPES_OF[Role.OPERATOR]


def test_a_generated_password_opens_the_door(accounts: Accounts, access: Access) -> None:
    issued = accounts.create_user("olga", Role.OPERATOR, None, "administrator")

    assert issued.generated_password is not None
    assert log_in(access, "olga", issued.generated_password)
    assert issued.generated_password.reveal().decode() not in repr(issued)


def test_a_login_is_taken_once_by_users_and_clients_alike(accounts: Accounts) -> None:
    machine = accounts.create_client("x", SCOPES, "administrator")
    with pytest.raises(AlreadyExists, match="There is a login administrator already"):
        accounts.create_user("Administrator", Role.AUDITOR, RIGHT, "administrator")
    with pytest.raises(MalformedRequest):
        accounts.create_user(machine.client.login, Role.AUDITOR, RIGHT, "administrator")


def test_a_user_or_client_is_changed_under_any_spelling_and_recorded_under_its_own(
    accounts: Accounts, access: Access, store: Store
) -> None:
    accounts.create_user("Olga", Role.OPERATOR, RIGHT, "administrator")
    machine = accounts.create_client("x", SCOPES, "administrator")
    upper = machine.client.login.upper()

    assert accounts.change_role("olga", Role.AUDITOR, "administrator").login == "Olga"
    assert newest(store).facts["login"] == "Olga"
    accounts.set_password("OLGA", OTHER, "administrator")
    assert newest(store).facts["login"] == "Olga"
    assert accounts.disable_user("oLGA", "administrator").is_disabled
    accounts.rotate_client(upper, timedelta(hours=1), "administrator")
    assert newest(store).facts["client_id"] == machine.client.login
    session = access.log_in_client(upper, machine.secret, None, "192.0.2.1")
    assert session.login == machine.client.login


def test_two_spellings_of_a_login_made_at_the_same_moment_are_one_user(store: Store, clock: Clock) -> None:
    with store.writing() as tx:
        tx.principals.insert_user("olga", "hash", Role.AUDITOR, clock())
    with pytest.raises(sa.exc.IntegrityError), store.writing() as tx:
        tx.principals.insert_user("OLGA", "hash", Role.AUDITOR, clock())


@pytest.mark.parametrize(
    "login",
    ["", " olga", "cli:root", "system", "System", "unknown", "CLI", "Client-1", "a/b", "..", "x" * 101],
)
def test_a_login_does_not_read_like_something_else(accounts: Accounts, login: str) -> None:
    with pytest.raises(MalformedRequest):
        accounts.create_user(login, Role.AUDITOR, RIGHT, "administrator")


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        (b"", WeakPassword),
        (b"elevenchars", WeakPassword),
        (b"aaaabbbbcccc", WeakPassword),
        (b"Qwerty123456", CommonPassword),
        (b"Administrator1!", CommonPassword),
        (b"x1y2z" * 206, MalformedRequest),
        (b"correct horse \xff", MalformedRequest),
    ],
)
def test_a_weak_password_is_refused_wherever_one_is_set(
    accounts: Accounts, access: Access, password: bytes, refusal: type[Exception]
) -> None:
    caller = caller_of(log_in(access, "administrator"))
    with pytest.raises(refusal):
        accounts.create_user("olga", Role.OPERATOR, Secret(password), "administrator")
    with pytest.raises(refusal):
        accounts.set_password("administrator", Secret(password), "administrator")
    with pytest.raises(refusal):
        accounts.change_own_password(caller, RIGHT, Secret(password))
    log_in(access, "administrator")


def test_a_disabled_user_has_no_tokens_and_is_recorded_once(
    accounts: Accounts, access: Access, store: Store, clock: Clock
) -> None:
    accounts.create_user("olga", Role.OPERATOR, RIGHT, "administrator")
    session = log_in(access, "olga")
    clock.pass_by(seconds=1)
    for _ in range(2):
        assert accounts.disable_user("olga", "administrator").is_disabled

    with pytest.raises(Unauthenticated):
        access.find_session(session.token_id)
    with store.reading() as tx:
        assert [event.type for event in tx.events.list()].count(EventType.USER_DISABLED) == 1


def test_the_last_owner_who_is_not_disabled_stays_one(accounts: Accounts) -> None:
    accounts.create_user("second", Role.OWNER, RIGHT, "administrator")
    accounts.disable_user("second", "administrator")
    accounts.disable_user("second", "administrator")

    with pytest.raises(LastOwner):
        accounts.disable_user("administrator", "administrator")
    with pytest.raises(LastOwner):
        accounts.change_role("administrator", Role.AUDITOR, "administrator")
    assert accounts.change_role("administrator", Role.OWNER, "administrator").role is Role.OWNER


def test_one_of_two_owners_may_go(accounts: Accounts) -> None:
    accounts.create_user("second", Role.OWNER, RIGHT, "administrator")

    assert accounts.change_role("administrator", Role.AUDITOR, "second").role is Role.AUDITOR


def test_another_role_or_password_ends_the_tokens_of_before(
    accounts: Accounts, access: Access, clock: Clock
) -> None:
    accounts.create_user("olga", Role.OPERATOR, RIGHT, "administrator")
    for change in (
        lambda: accounts.change_role("olga", Role.AUDITOR, "administrator"),
        lambda: accounts.set_password("olga", RIGHT, "administrator"),
    ):
        session = log_in(access, "olga")
        clock.pass_by(seconds=1)
        change()
        with pytest.raises(Unauthenticated):
            access.find_session(session.token_id)


def test_ones_own_password_needs_the_current_one(accounts: Accounts, access: Access, store: Store) -> None:
    caller = caller_of(log_in(access, "administrator"))
    with pytest.raises(WrongCredentials):
        accounts.change_own_password(caller, OTHER, OTHER)
    event = newest(store)
    assert (event.type, event.facts) == (EventType.LOGIN_REFUSED, {"token_id": caller.token_id})

    accounts.change_own_password(caller, RIGHT, OTHER)
    assert log_in(access, "administrator", OTHER)


def test_guessing_the_current_password_is_slow_and_no_lock_out(
    accounts: Accounts, access: Access, clock: Clock
) -> None:
    caller = caller_of(log_in(access, "administrator"))
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            accounts.change_own_password(caller, OTHER, OTHER)
    with pytest.raises(TooManyRequests) as refusal:
        accounts.change_own_password(caller, RIGHT, OTHER)
    log_in(access, "administrator")

    clock.pass_by(seconds=refusal.value.retry_after)
    accounts.change_own_password(caller, RIGHT, OTHER)


def test_a_client_enters_with_its_secret_and_no_wider_than_it_asks(
    accounts: Accounts, access: Access, store: Store
) -> None:
    machine = accounts.create_client("CA script", SCOPES, "cli:root")

    assert newest(store).facts == {
        "client_id": machine.client.login,
        "name": "CA script",
        "scopes": "imports:read imports:write",
    }
    assert enter(access, machine).scopes == SCOPES
    assert enter(access, machine, "imports:read").scopes == {Scope.IMPORTS_READ}
    with pytest.raises(InvalidScope):
        enter(access, machine, "imports:read keys:release")


def test_a_secret_is_kept_as_a_digest(accounts: Accounts, store: Store) -> None:
    secret = accounts.create_client("x", SCOPES, "administrator").secret.reveal().decode()

    assert secret.startswith("bcs_")
    with store.engine.connect() as connection:
        dump = repr(connection.exec_driver_sql("SELECT * FROM client_secrets").all())
    assert secret not in dump
    assert secret.removeprefix("bcs_") not in dump


def test_the_secret_of_before_works_until_the_overlap_is_over(
    accounts: Accounts, access: Access, clock: Clock
) -> None:
    first = accounts.create_client("x", SCOPES, "administrator")
    second = accounts.rotate_client(first.client.login, timedelta(hours=1), "administrator")
    clock.pass_by(minutes=59)
    assert enter(access, first)
    assert enter(access, second)
    clock.pass_by(minutes=1)

    with pytest.raises(WrongCredentials):
        enter(access, first)
    assert enter(access, second)


def test_a_second_rotation_does_not_lengthen_the_first_overlap(
    accounts: Accounts, access: Access, clock: Clock
) -> None:
    first = accounts.create_client("x", SCOPES, "administrator")
    accounts.rotate_client(first.client.login, timedelta(hours=1), "administrator")
    accounts.rotate_client(first.client.login, timedelta(hours=9), "administrator")
    clock.pass_by(hours=1)

    with pytest.raises(WrongCredentials):
        enter(access, first)


def test_a_disabled_client_has_no_tokens(accounts: Accounts, access: Access, clock: Clock) -> None:
    machine = accounts.create_client("x", SCOPES, "administrator")
    session = enter(access, machine)
    clock.pass_by(seconds=1)
    accounts.disable_client(machine.client.login, "administrator")

    with pytest.raises(Unauthenticated):
        access.find_session(session.token_id)
    with pytest.raises(WrongCredentials):
        enter(access, machine)
    with pytest.raises(NotFound):
        accounts.rotate_client(machine.client.login, timedelta(0), "administrator")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m", "x" * 101])
def test_a_name_that_would_trouble_a_terminal_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(MalformedRequest):
        accounts.create_client(name, SCOPES, "administrator")


def test_a_client_without_scopes_is_refused(accounts: Accounts) -> None:
    with pytest.raises(MalformedRequest):
        accounts.create_client("x", frozenset(), "administrator")


def test_a_user_is_no_client_and_a_client_is_no_user(accounts: Accounts) -> None:
    machine = accounts.create_client("x", SCOPES, "administrator")

    for wrong in (
        lambda: accounts.disable_client("administrator", "administrator"),
        lambda: accounts.rotate_client("administrator", timedelta(0), "administrator"),
        lambda: accounts.disable_user(machine.client.login, "administrator"),
        lambda: accounts.change_role(machine.client.login, Role.OWNER, "administrator"),
        lambda: accounts.set_password(machine.client.login, RIGHT, "administrator"),
    ):
        with pytest.raises(NotFound):
            wrong()


def an_admin(accounts: Accounts, access: Access) -> Caller:
    """A client that may administrate and nothing else."""
    made = accounts.create_client("admin", frozenset({Scope.ADMIN, Scope.IMPORTS_READ}), "administrator")
    return caller_of(enter(access, made))


def test_nobody_gives_what_they_do_not_have(accounts: Accounts, access: Access, store: Store) -> None:
    admin = an_admin(accounts, access)
    machine = accounts.create_client("x", frozenset({Scope.KEYS_RELEASE}), "administrator")
    before = newest(store)

    for wrong in (
        lambda: accounts.create_user("eve", Role.DEPLOYER, RIGHT, "admin", admin),
        lambda: accounts.change_role("administrator", Role.OWNER, "admin", admin),
        lambda: accounts.set_password("administrator", RIGHT, "admin", admin),
        lambda: accounts.create_client("y", frozenset({Scope.KEYS_RELEASE}), "admin", admin),
        lambda: accounts.rotate_client(machine.client.login, timedelta(0), "admin", admin),
        lambda: accounts.disable_user("administrator", "admin", admin),
        lambda: accounts.change_role("administrator", Role.AUDITOR, "admin", admin),
    ):
        with pytest.raises(InsufficientScope):
            wrong()
    assert newest(store) == before
    assert accounts.create_client("y", frozenset({Scope.IMPORTS_READ}), "admin", admin)


def test_sessions_are_listed_while_they_live(accounts: Accounts, access: Access, clock: Clock) -> None:
    session = log_in(access, "administrator")
    machine = enter(access, accounts.create_client("x", SCOPES, "administrator"))

    assert accounts.sessions(caller_of(session), 10, None).items == (session,)
    assert {each.token_id for each in accounts.sessions(None, 10, None).items} == {
        session.token_id,
        machine.token_id,
    }
    clock.pass_by(minutes=16)
    assert accounts.sessions(None, 10, None).items == ()


def test_a_session_ends_by_its_owner_or_by_an_administrator(
    accounts: Accounts, access: Access, store: Store
) -> None:
    accounts.create_user("olga", Role.OPERATOR, RIGHT, "administrator")
    mine, hers = log_in(access, "administrator"), log_in(access, "olga")

    with pytest.raises(NotFound):
        accounts.revoke_session(mine.token_id, caller_of(hers), "olga")
    with pytest.raises(NotFound):
        accounts.revoke_session("unknown", None, "administrator")
    accounts.revoke_session(hers.token_id, None, "administrator")
    assert newest(store).facts == {"token_id": hers.token_id}
    with pytest.raises(Unauthenticated):
        access.find_session(hers.token_id)
    access.find_session(mine.token_id)


def test_a_session_that_is_over_is_not_there_to_end(accounts: Accounts, access: Access, clock: Clock) -> None:
    session = log_in(access, "administrator")
    clock.pass_by(minutes=16)

    with pytest.raises(NotFound):
        accounts.revoke_session(session.token_id, None, "administrator")


def test_a_hundred_guesses_at_once_are_a_hundred(
    accounts: Accounts, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is counted before its password is looked at, so that those behind it know of it."""
    caller = caller_of(log_in(access, "administrator"))
    looked_at: list[int] = []
    real = accounts._passwords.matches

    def matches(password_hash: str | None, password: Secret) -> bool:
        looked_at.append(1)
        if len(looked_at) < 20:  # another one, before this one is known to be wrong
            with contextlib.suppress(TooManyRequests, WrongCredentials):
                accounts.change_own_password(caller, OTHER, OTHER)
        return real(password_hash, password)

    monkeypatch.setattr(accounts._passwords, "matches", matches)
    with contextlib.suppress(TooManyRequests, WrongCredentials):
        accounts.change_own_password(caller, OTHER, OTHER)

    assert len(looked_at) == 5


def test_an_administrator_without_other_scopes_disables_whoever_is_no_owner(
    accounts: Accounts, access: Access
) -> None:
    admin = an_admin(accounts, access)
    accounts.create_user("olga", Role.OPERATOR, RIGHT, "administrator")
    machine = accounts.create_client("x", SCOPES, "administrator")

    assert accounts.disable_user("olga", "admin", admin).is_disabled
    assert accounts.disable_client(machine.client.login, "admin", admin).is_disabled


# --- what changes during a slow step -----------------------------------------------------------------


class Meddling(CheapPasswords):
    """Does something else while a password is checked or hashed, once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = None

    def matches(self, password_hash: str | None, password: Secret) -> bool:
        found = super().matches(password_hash, password)
        self._meddle()
        return found

    def hash(self, password: Secret) -> str:
        found = super().hash(password)
        self._meddle()
        return found

    def _meddle(self) -> None:
        meanwhile, self.meanwhile = getattr(self, "meanwhile", None), None
        if meanwhile:
            meanwhile()


@dataclasses.dataclass(frozen=True)
class Slow:
    """The verbs with passwords that somebody meddles with."""

    passwords: Meddling
    access: Access
    accounts: Accounts
    others: Accounts


@pytest.fixture
def slow(store: Store, vault: Vault, clock: Clock, access: Access, accounts: Accounts) -> Slow:
    accounts.create_user("olga", Role.OWNER, RIGHT, "administrator")
    passwords = Meddling()
    rules = TokenRules(timedelta(hours=1), INACTIVITY)
    return Slow(
        passwords,
        Access(store, vault, passwords, rules, clock),
        Accounts(store, passwords, INACTIVITY, clock),
        accounts,
    )


def test_p29_a_login_under_way_does_not_survive_a_new_password(slow: Slow) -> None:
    slow.passwords.meanwhile = lambda: slow.others.set_password("olga", OTHER, "administrator")

    with pytest.raises(WrongCredentials):
        log_in(slow.access, "olga")


def test_p29_a_login_under_way_does_not_survive_being_disabled(slow: Slow) -> None:
    slow.passwords.meanwhile = lambda: slow.others.disable_user("olga", "administrator")

    with pytest.raises(WrongCredentials):
        log_in(slow.access, "olga")


def test_p29_a_login_under_way_has_the_scopes_of_the_new_role(slow: Slow) -> None:
    slow.passwords.meanwhile = lambda: slow.others.change_role("olga", Role.AUDITOR, "administrator")
    session = log_in(slow.access, "olga")

    assert session.scopes == SCOPES_OF[Role.AUDITOR]
    assert slow.access.find_session(session.token_id)


def test_p29_an_own_new_password_does_not_overwrite_a_reset(slow: Slow) -> None:
    caller = caller_of(log_in(slow.access, "olga"))
    slow.passwords.meanwhile = lambda: slow.others.set_password("olga", OTHER, "administrator")

    with pytest.raises((Unauthenticated, WrongCredentials)):
        slow.accounts.change_own_password(caller, RIGHT, Secret(b"a third battery horse"))
    assert log_in(slow.access, "olga", OTHER)


@pytest.mark.parametrize("end", ["disable", "demote", "reset", "revoke"])
@pytest.mark.parametrize("change", ["create", "reset"])
def test_p29_an_administrator_who_ceases_to_be_one_changes_nobody(slow: Slow, end: str, change: str) -> None:
    caller = caller_of(log_in(slow.access, "olga"))
    slow.passwords.meanwhile = {
        "disable": lambda: slow.others.disable_user("olga", "administrator"),
        "demote": lambda: slow.others.change_role("olga", Role.AUDITOR, "administrator"),
        "reset": lambda: slow.others.set_password("olga", OTHER, "administrator"),
        "revoke": lambda: slow.others.revoke_session(caller.token_id, None, "administrator"),
    }[end]

    with pytest.raises(Unauthenticated):
        if change == "create":
            slow.accounts.create_user("eve", Role.OWNER, RIGHT, "olga", caller)
        else:
            slow.accounts.set_password("administrator", OTHER, "olga", caller)
    assert log_in(slow.access, "administrator")


# --- tokens end without comparing clocks --------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-3600, -1, 0, 1, 3600])
@pytest.mark.parametrize("end", ["reset", "demote", "rotate"])
def test_p29_no_token_survives_a_reset_on_a_machine_with_another_clock(
    accounts: Accounts, access: Access, store: Store, vault: Vault, clock: Clock, end: str, ahead: int
) -> None:
    def elsewhere() -> datetime:
        return clock() + timedelta(seconds=ahead)

    there = Accounts(store, PASSWORDS, INACTIVITY, elsewhere)
    accounts.create_user("olga", Role.OPERATOR, RIGHT, "administrator")
    machine = accounts.create_client("x", SCOPES, "administrator")
    tokens = {"olga": log_in(access, "olga"), "x": enter(access, machine)}
    if end == "rotate":
        there.rotate_client(machine.client.login, timedelta(0), "administrator")
    elif end == "reset":
        there.set_password("olga", OTHER, "administrator")
    else:
        there.change_role("olga", Role.AUDITOR, "administrator")

    ended, alive = ("x", "olga") if end == "rotate" else ("olga", "x")
    with pytest.raises(Unauthenticated):
        access.find_session(tokens[ended].token_id)
    assert access.find_session(tokens[alive].token_id)


def test_a_secret_that_is_rotated_with_an_overlap_leaves_its_tokens(
    accounts: Accounts, access: Access
) -> None:
    machine = accounts.create_client("x", SCOPES, "administrator")
    session = enter(access, machine)
    accounts.rotate_client(machine.client.login, timedelta(hours=1), "administrator")

    assert access.find_session(session.token_id)
