"""Passwords, sessions, throttling and signing keys."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest

from bulkcert.access.hashing import Passwords
from bulkcert.access.logins import Access, TokenRules
from bulkcert.access.throttle import LoginQueue, network_of
from bulkcert.errors import BrokenSeal, TooManyRequests, Unauthenticated, WrongCredentials
from bulkcert.store.access.signing_keys import KeptSigningKey
from bulkcert.store.store import Store
from bulkcert.values.events import EventType
from bulkcert.values.principals import SCOPES_OF, Caller, Role, Scope
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import new_master_key
from bulkcert.vault.vault import Vault
from tests.clock import Clock
from tests.passwords import CheapPasswords

RIGHT, WRONG = Secret(b"correct horse battery"), Secret(b"incorrect horse")
PASSWORDS = CheapPasswords()


def an_access(store: Store, vault: Vault, clock: Clock, inactivity: timedelta | None = None) -> Access:
    return Access(store, vault, PASSWORDS, TokenRules(timedelta(hours=1), inactivity), clock)


@pytest.fixture
def access(store: Store, vault: Vault, clock: Clock) -> Access:
    access = an_access(store, vault, clock)
    with store.writing() as tx:
        access.begin(tx, "administrator", RIGHT)
    return access


def add_user(access: Access, login: str, role: Role) -> None:
    with access._store.writing() as tx:
        tx.principals.insert_user(login, PASSWORDS.hash(RIGHT), role, access._now())


def caller_of(access: Access, login: str = "administrator") -> Caller:
    session = access.log_in(login, RIGHT, "192.0.2.1")
    return Caller(session.principal_id, session.login, session.token_id, session.scopes)


def test_the_right_password_opens_a_session_with_the_scopes_of_the_role(access: Access) -> None:
    add_user(access, "olga", Role.OPERATOR)
    session = access.log_in("olga", RIGHT, "192.0.2.1")

    assert session.scopes == SCOPES_OF[Role.OPERATOR]
    assert Scope.KEYS_RELEASE not in session.scopes
    assert access.find_session(session.token_id) == session


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("administrator", WRONG),
        ("administrator", Secret(b"")),
        ("administrator ", RIGHT),
        ("аdministrator", RIGHT),  # a Cyrillic letter
        ("nobody", RIGHT),
        ("", RIGHT),
        ("administrator\x00", RIGHT),
    ],
)
def test_anything_else_does_not(access: Access, login: str, password: Secret) -> None:
    with pytest.raises(WrongCredentials):
        access.log_in(login, password, "192.0.2.1")


def test_a_disabled_user_cannot_log_in_and_its_tokens_end(access: Access, store: Store, clock: Clock) -> None:
    caller = caller_of(access)
    clock.pass_by(seconds=1)
    with store.writing() as tx:
        tx.principals.disable(caller.principal_id, clock())

    with pytest.raises(Unauthenticated):
        access.find_session(caller.token_id)
    with pytest.raises(WrongCredentials):
        access.log_in("administrator", RIGHT, "192.0.2.1")


def test_a_changed_password_ends_the_tokens_before_it(access: Access, store: Store, clock: Clock) -> None:
    caller = caller_of(access)
    clock.pass_by(seconds=1)
    with store.writing() as tx:
        tx.principals.change_password(caller.principal_id, PASSWORDS.hash(WRONG), clock())

    with pytest.raises(Unauthenticated):
        access.find_session(caller.token_id)
    access.find_session(access.log_in("administrator", WRONG, "192.0.2.1").token_id)


def test_logging_out_ends_this_token_and_no_other(access: Access) -> None:
    first, second = caller_of(access), caller_of(access)
    access.log_out(first)

    with pytest.raises(Unauthenticated):
        access.find_session(first.token_id)
    access.find_session(second.token_id)


def test_a_token_of_somebody_else_is_not_revoked(access: Access) -> None:
    add_user(access, "olga", Role.OPERATOR)
    mine, hers = caller_of(access), caller_of(access, "olga")
    access.revoke(mine.principal_id, mine.login, hers.token_id)
    access.revoke(mine.principal_id, mine.login, "unknown")

    access.find_session(hers.token_id)
    access.revoke(hers.principal_id, hers.login, hers.token_id)
    with pytest.raises(Unauthenticated):
        access.find_session(hers.token_id)


def test_a_static_login_ends_after_its_lifetime_however_busy(access: Access, clock: Clock) -> None:
    token = caller_of(access).token_id
    for _ in range(59):
        clock.pass_by(minutes=1)
        access.find_session(token)
    clock.pass_by(minutes=1)

    with pytest.raises(Unauthenticated):
        access.find_session(token)


def test_an_inactive_login_ends_and_a_busy_one_goes_on(
    access: Access, store: Store, vault: Vault, clock: Clock
) -> None:
    access = an_access(store, vault, clock, timedelta(minutes=10))
    token = caller_of(access).token_id
    for _ in range(5):
        clock.pass_by(minutes=9)
        access.find_session(token)
    clock.pass_by(minutes=10, seconds=1)

    with pytest.raises(Unauthenticated):
        access.find_session(token)


def fail(access: Access, times: int, source: str = "192.0.2.1", login: str = "administrator") -> None:
    for _ in range(times):
        with pytest.raises(WrongCredentials):
            access.log_in(login, WRONG, source)


def test_failures_slow_their_source_down_and_nobody_else(access: Access, clock: Clock) -> None:
    fail(access, 5)

    with pytest.raises(TooManyRequests) as refusal:
        access.log_in("administrator", RIGHT, "192.0.2.1")
    assert 1 <= refusal.value.retry_after <= 60
    access.log_in("administrator", RIGHT, "192.0.2.2")
    clock.pass_by(seconds=refusal.value.retry_after)
    access.log_in("administrator", RIGHT, "192.0.2.1")


def test_the_delay_grows_and_is_never_a_lock_out(access: Access, clock: Clock) -> None:
    delays = []
    for _ in range(14):
        try:
            access.log_in("administrator", WRONG, "192.0.2.1")
        except TooManyRequests as refusal:
            delays.append(refusal.retry_after)
            clock.pass_by(seconds=refusal.retry_after)
        except WrongCredentials:
            pass

    assert delays == sorted(delays)
    assert delays[0] < delays[-1] <= 61
    clock.pass_by(seconds=61)
    access.log_in("administrator", RIGHT, "192.0.2.1")


def test_a_source_that_tries_many_logins_is_slowed_down_for_all(access: Access) -> None:
    for number in range(50):
        fail(access, 1, login=f"user{number}")

    with pytest.raises(TooManyRequests):
        access.log_in("administrator", RIGHT, "192.0.2.1")


@pytest.mark.parametrize("spelling", ["Administrator", "ADMINISTRATOR", "ａｄｍｉｎｉｓｔｒａｔｏｒ"])
def test_spellings_of_a_login_are_one_for_people_events_and_the_throttle(
    access: Access, store: Store, spelling: str
) -> None:
    assert access.log_in(spelling, RIGHT, "192.0.2.1").login == "administrator"
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            access.log_in(spelling, WRONG, "192.0.2.1")
    with pytest.raises(TooManyRequests):
        access.log_in("administrator", RIGHT, "192.0.2.1")
    with store.reading() as tx:
        assert {event.actor for event in tx.events.list() if event.type == EventType.LOGIN_REFUSED} == {
            "administrator"
        }


def test_a_success_forgets_the_failures_before_it(access: Access) -> None:
    for _ in range(3):
        fail(access, 4)
        access.log_in("administrator", RIGHT, "192.0.2.1")


def test_logins_and_refusals_are_recorded_without_what_was_typed(access: Access, store: Store) -> None:
    caller_of(access)
    fail(access, 1)
    fail(access, 1, login="my-password-in-the-wrong-field")

    with store.reading() as tx:
        events = tx.events.list()[-3:]
    assert [event.type for event in events] == [
        EventType.LOGIN,
        EventType.LOGIN_REFUSED,
        EventType.LOGIN_REFUSED,
    ]
    assert [event.actor for event in events] == ["administrator", "administrator", "unknown"]
    assert "my-password" not in repr(events)


def test_passwords_are_hashed_by_argon2id_at_19_mib_and_two_passes() -> None:
    assert Passwords().hash(RIGHT).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_an_outdated_hash_is_made_anew_at_the_next_login(
    access: Access, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from argon2 import PasswordHasher

    monkeypatch.setattr(access, "_passwords", Passwords())
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(RIGHT.reveal())
    with store.writing() as tx:
        user = tx.principals.find_user("administrator")
        assert user is not None
        tx.principals.upgrade_hash(user.principal.id, weak)
    access.log_in("administrator", RIGHT, "192.0.2.1")

    with store.reading() as tx:
        user = tx.principals.find_user("administrator")
    assert user is not None
    assert "m=19456" in user.password_hash


def test_the_signing_key_is_sealed_in_the_database(access: Access, store: Store, clock: Clock) -> None:
    key_id, private = access.signing_key()

    assert b"PRIVATE KEY" in private.reveal()
    assert set(access.public_keys()) == {key_id}
    with store.engine.connect() as connection:
        dump = repr(connection.exec_driver_sql("SELECT * FROM signing_keys").all())
    assert "PRIVATE" not in dump
    with pytest.raises(BrokenSeal):
        an_access(store, Vault((new_master_key(),)), clock).signing_key()


def test_a_public_signing_key_that_was_replaced_by_hand_verifies_nothing(
    any_store: Store, vault: Vault, clock: Clock
) -> None:
    access = an_access(any_store, vault, clock)
    with any_store.writing() as tx:
        access.begin(tx, "administrator", RIGHT)
    before = access.public_keys()
    with any_store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE signing_keys SET public_pem = 'the attacker''s'")

    assert access.public_keys() == an_access(any_store, vault, clock).public_keys() == before
    assert list(access._signing_keys.find_forged()) == list(before)


def test_a_signing_key_that_was_inserted_by_hand_stops_nobody(
    any_store: Store, vault: Vault, clock: Clock
) -> None:
    access = an_access(any_store, vault, clock)
    with any_store.writing() as tx:
        access.begin(tx, "administrator", RIGHT)
    before = access.signing_key()[0]
    clock.pass_by(days=1)
    with any_store.writing() as tx:
        forged = KeptSigningKey("f" * 16, access.public_keys()[before].decode(), b"\x01" * 200)
        tx.keys.insert_signing_key(forged, clock())

    assert access.signing_key()[0] == before
    assert set(access.public_keys()) == {before}
    assert list(access._signing_keys.find_forged()) == ["f" * 16]


def test_guesses_at_the_same_moment_are_counted_before_they_are_looked_at(access: Access) -> None:
    tried: list[Secret] = []
    matches = access._passwords.matches

    def look(password_hash: str | None, password: Secret) -> bool:
        tried.append(password)
        if len(tried) < 20:  # the next guess comes while this one is being looked at
            with contextlib.suppress(WrongCredentials, TooManyRequests):
                access.log_in("administrator", WRONG, "192.0.2.1")
        return matches(password_hash, password)

    access._passwords = SimpleNamespace(matches=look)  # type: ignore[assignment]
    with pytest.raises(WrongCredentials):
        access.log_in("administrator", WRONG, "192.0.2.1")

    assert len(tried) <= 6


def test_all_addresses_of_one_ipv6_network_are_one_source(access: Access) -> None:
    for number in range(5):
        fail(access, 1, source=f"2001:db8::{number}")

    with pytest.raises(TooManyRequests):
        access.log_in("administrator", RIGHT, "2001:db8::ffff")
    access.log_in("administrator", RIGHT, "2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("source", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("64:ff9b::c000:201", "192.0.2.1"),
        ("64:ff9b:1::1", "64:ff9b:1::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_an_address_counts_as_the_one_that_it_carries(source: str, network: str) -> None:
    assert network_of(source) == network


def test_a_success_does_not_forgive_the_failures_of_other_logins(access: Access, clock: Clock) -> None:
    """Else a guesser with an account of its own would log in after every few guesses."""
    for number in range(49):
        fail(access, 1, login=f"user{number}")
        if number % 4 == 0:
            access.log_in("administrator", RIGHT, "192.0.2.1")
    fail(access, 1, login="one more")

    with pytest.raises(TooManyRequests):
        access.log_in("administrator", RIGHT, "192.0.2.1")
    assert access.log_in("administrator", RIGHT, "192.0.2.2")


def test_logins_that_succeed_are_no_failures_of_their_source(access: Access) -> None:
    for _ in range(120):
        access.log_in("administrator", RIGHT, "192.0.2.1")


def test_a_clock_that_was_ahead_locks_nobody_out(access: Access, clock: Clock) -> None:
    clock.pass_by(days=1495)
    fail(access, 5)
    clock.pass_by(days=-1495)

    with pytest.raises(TooManyRequests) as refusal:
        access.log_in("administrator", RIGHT, "192.0.2.1")
    assert refusal.value.retry_after <= 11


def test_a_flood_from_one_source_leaves_places_for_others() -> None:
    queue = LoginQueue(most_of_source=2, most=3)
    with queue.place("192.0.2.1"), queue.place("192.0.2.1"):
        with pytest.raises(TooManyRequests), queue.place("::ffff:192.0.2.1"):
            pass
        with queue.place("192.0.2.2"), pytest.raises(TooManyRequests), queue.place("192.0.2.3"):
            pass
    with queue.place("192.0.2.1"), queue.place("192.0.2.1"):
        pass


def test_a_login_waits_for_few_others(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on = threading.Semaphore(0), threading.Event()

    def check(password_hash: str | None, password: Secret) -> bool:
        started.release()
        go_on.wait(30)
        return password == RIGHT

    monkeypatch.setattr(access, "_passwords", SimpleNamespace(matches=check, is_outdated=lambda _: False))
    with ThreadPoolExecutor(20) as pool:
        flood = [pool.submit(access.log_in, f"user{number}", WRONG, "192.0.2.1") for number in range(16)]
        for _ in range(4):
            started.acquire(timeout=30)
        administrator = pool.submit(access.log_in, "administrator", RIGHT, "192.0.2.2")
        assert started.acquire(timeout=30)  # it did not wait for the flood
        go_on.set()
        refusals = [type(login.exception(timeout=60)) for login in flood]  # noqa: LOG004 - a future

    assert administrator.result().login == "administrator"
    assert refusals.count(TooManyRequests) == 12
