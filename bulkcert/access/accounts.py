"""Users, clients and their sessions: make, list, disable, change, revoke.

Nobody gives what they do not have: a caller makes no user or client with more scopes than the caller's, and
gives none of those another password or secret. `admin` alone does not become `keys:release`. Only a caller
with all scopes disables or demotes an owner.

caller: the caller of the API, whose token must be live when the change is written; None is a command on the
service's own machine. actor: the name that events show.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from bulkcert.access.frequent_passwords import is_frequent
from bulkcert.access.hashing import Passwords, digest_of
from bulkcert.errors import (
    AlreadyExists,
    CommonPassword,
    InsufficientScope,
    LastOwner,
    MalformedRequest,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    WrongCredentials,
)
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.events import Event, EventType
from bulkcert.values.logins import CLIENT_PREFIX, check_new_login
from bulkcert.values.pages import Page
from bulkcert.values.passwords import read_text, refuse_weak
from bulkcert.values.principals import (
    SCOPES_OF,
    Caller,
    IssuedClient,
    IssuedUser,
    Principal,
    PrincipalKind,
    Role,
    Scope,
    Session,
)
from bulkcert.values.secret import Secret

LONGEST_PASSWORD = 1024
LONGEST_NAME = 100

_FREE_GUESSES = 5
_GUESS_DELAY = timedelta(seconds=60)
_FORGET_GUESSES_AFTER = timedelta(hours=1)
_SECRET_PREFIX = "bcs_"  # noqa: S105 - lets scanners of repositories recognise a secret that got there

_OWNERS = "owners"
"""The lock under which an owner ceases to be one: of two who do so at once, one stays."""


class Accounts:
    """Who may come in. `inactivity` as in `access.TokenRules`."""

    def __init__(
        self, store: Store, passwords: Passwords, inactivity: timedelta | None, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._inactivity = inactivity
        self._now = now

    # --- users ---

    def create_user(
        self,
        login: str,
        role: Role,
        password: Secret | None,
        actor: str,
        caller: Caller | None = None,
    ) -> IssuedUser:
        """Make a user; a password is generated where none is given.

        Raises `AlreadyExists`, `InsufficientScope`, and as `check_new_login` and `check_login_password` do.
        """
        check_new_login(login)
        _check_within(SCOPES_OF[role], caller)
        given = _generated() if password is None else password
        check_login_password(given)
        password_hash = self._passwords.hash(given)
        now = self._now()
        with self._store.writing() as tx:
            self._check_live(tx, caller)
            if (taken := tx.principals.find_login(login)) is not None:
                raise AlreadyExists(f"There is a login {taken} already; logins that differ by case are one.")
            user = tx.principals.insert_user(login, password_hash, role, now)
            tx.events.append(Event(EventType.USER_CREATED, now, actor, {"login": login, "role": role}))
        return IssuedUser(user, given if password is None else None)

    def users(self, limit: int, cursor: str | None) -> Page[Principal]:
        """List users."""
        return self._page(PrincipalKind.USER, limit, cursor)

    def disable_user(self, login: str, actor: str, caller: Caller | None = None) -> Principal:
        """Disable a user; its tokens end at once. Raises `NotFound`, `LastOwner`, `InsufficientScope`."""
        with self._store.writing() as tx:
            tx.lock(_OWNERS)
            user = self._lock_for(tx, PrincipalKind.USER, login, caller, takes_forged=True)
            self._keep_an_owner(tx, user)
            return self._disable(tx, user, EventType.USER_DISABLED, actor)

    def change_role(self, login: str, role: Role, actor: str, caller: Caller | None = None) -> Principal:
        """Give a user another role; its tokens end at once.

        Raises `NotFound`, `LastOwner`, `InsufficientScope`.
        """
        now = self._now()
        _check_within(SCOPES_OF[role], caller)
        with self._store.writing() as tx:
            tx.lock(_OWNERS)
            user = self._lock_for(tx, PrincipalKind.USER, login, caller)
            if role is not Role.OWNER:
                self._keep_an_owner(tx, user)
            tx.principals.change_role(user.id, role, now)
            facts = {"login": user.login, "role": role}
            tx.events.append(Event(EventType.ROLE_CHANGED, now, actor, facts))
            return tx.principals.find(PrincipalKind.USER, user.login)

    def set_password(
        self, login: str, password: Secret | None, actor: str, caller: Caller | None = None
    ) -> IssuedUser:
        """Give a user another password (generated where None); its tokens end at once.

        Raises `NotFound`, `InsufficientScope`, and as `check_login_password` does.
        """
        given = _generated() if password is None else password
        check_login_password(given)
        password_hash = self._passwords.hash(given)
        now = self._now()
        with self._store.writing() as tx:
            user = self._lock_for(tx, PrincipalKind.USER, login, caller)
            _check_within(user.scopes, caller)
            tx.principals.change_password(user.id, password_hash, now)
            tx.events.append(Event(EventType.PASSWORD_CHANGED, now, actor, {"login": user.login}))
        return IssuedUser(user, given if password is None else None)

    def change_own_password(self, caller: Caller, current: Secret, new: Secret) -> None:
        """Change the caller's own password; all of its tokens end.

        A thief of a token must not learn the password by guessing: after five wrong ones, one a minute.
        Raises `WrongCredentials` (a client has none either), `TooManyRequests`, and as
        `check_login_password` does.
        """
        check_login_password(new)
        guesses = hashlib.sha256(f"password\x00{caller.principal_id}".encode()).hexdigest()
        self._admit_guess(guesses)
        with self._store.reading() as tx:
            user = tx.principals.find_user(caller.login)
        if user is None or not self._passwords.matches(user.password_hash, current):
            self._record_guess(caller)
            raise WrongCredentials("The current password is not right.")
        password_hash = self._passwords.hash(new)
        now = self._now()
        with self._store.writing() as tx:
            self._check_live(tx, caller)
            locked = tx.principals.find_user(caller.login, lock=True)
            if locked is None or locked.password_hash != user.password_hash:
                raise WrongCredentials("The password was changed by somebody else meanwhile.")
            tx.principals.change_password(locked.principal.id, password_hash, now)
            facts = {"login": caller.login}
            tx.events.append(Event(EventType.PASSWORD_CHANGED, now, caller.login, facts))
            tx.throttles.clear(guesses, self._now() - _FORGET_GUESSES_AFTER)

    def _admit_guess(self, guesses: str) -> None:
        """Count a try before it is looked at: a hundred at once are a hundred. A success takes them back."""
        now = self._now()
        with self._store.writing() as tx:
            tx.lock(f"throttle {guesses}")
            throttle = tx.throttles.find(guesses)
            failures = throttle.failures if throttle else 0
            if throttle is not None and failures >= _FREE_GUESSES:
                left = min(throttle.last_failed_at + _GUESS_DELAY - now, _GUESS_DELAY)
                if left > timedelta(0):
                    raise TooManyRequests("Too many passwords were wrong.", int(left.total_seconds()) + 1)
            tx.throttles.set(guesses, failures + 1, now)

    def _record_guess(self, caller: Caller) -> None:
        facts = {"token_id": caller.token_id}
        with self._store.writing() as tx:
            tx.events.append(Event(EventType.LOGIN_REFUSED, self._now(), caller.login, facts))

    # --- clients ---

    def create_client(
        self, name: str, scopes: frozenset[Scope], actor: str, caller: Caller | None = None
    ) -> IssuedClient:
        """Make a client with a first secret, which is shown once.

        Raises `MalformedRequest`, `InsufficientScope`.
        """
        _check_name(name)
        _check_within(scopes, caller)
        if not scopes:
            raise MalformedRequest("A client needs a scope at least.")
        secret = _new_secret()
        now = self._now()
        with self._store.writing() as tx:
            self._check_live(tx, caller)
            client = tx.principals.insert_client(_new_client_id(), name, scopes, now)
            tx.client_secrets.insert(client.id, digest_of(secret), now)
            facts = {"client_id": client.login, "name": name, "scopes": " ".join(sorted(scopes))}
            tx.events.append(Event(EventType.CLIENT_CREATED, now, actor, facts))
        return IssuedClient(client, secret)

    def clients(self, limit: int, cursor: str | None) -> Page[Principal]:
        """List clients."""
        return self._page(PrincipalKind.CLIENT, limit, cursor)

    def rotate_client(
        self, client_id: str, overlap: timedelta, actor: str, caller: Caller | None = None
    ) -> IssuedClient:
        """Give a client another secret; the ones before end after `overlap`, without one all its tokens, too.

        Raises `NotFound` (a disabled one is of no use either), `InsufficientScope`.
        """
        secret = _new_secret()
        now = self._now()
        with self._store.writing() as tx:
            client = self._lock_for(tx, PrincipalKind.CLIENT, client_id, caller)
            if client.is_disabled:
                raise NotFound("There is no such client.")
            _check_within(client.scopes, caller)
            tx.client_secrets.end(client.id, now + overlap)
            if overlap <= timedelta(0):  # the secret is taken to be known to others, and so are its tokens
                tx.principals.end_tokens(client.id, now)
            tx.client_secrets.insert(client.id, digest_of(secret), now)
            facts = {"client_id": client.login, "overlap_seconds": int(overlap.total_seconds())}
            tx.events.append(Event(EventType.CLIENT_SECRET_ROTATED, now, actor, facts))
        return IssuedClient(client, secret)

    def disable_client(self, client_id: str, actor: str, caller: Caller | None = None) -> Principal:
        """Disable a client; its tokens end at once. Raises `NotFound`, `InsufficientScope`."""
        with self._store.writing() as tx:
            client = self._lock_for(tx, PrincipalKind.CLIENT, client_id, caller, takes_forged=True)
            return self._disable(tx, client, EventType.CLIENT_DISABLED, actor)

    # --- sessions ---

    def sessions(self, of: Caller | None, limit: int, cursor: str | None) -> Page[Session]:
        """List live sessions, the caller's own or everybody's (None)."""
        now = self._now()
        with self._store.reading() as tx:
            return tx.tokens.page(of.principal_id if of else None, now, self._used_after(now), limit, cursor)

    def revoke_session(self, token_id: str, of: Caller | None, actor: str) -> None:
        """End a live session, one of the caller's own or anybody's (None), or raise `NotFound`."""
        now = self._now()
        with self._store.writing() as tx:
            is_live = tx.tokens.find(token_id, now, self._used_after(now)) is not None
            if not is_live or not tx.tokens.revoke(token_id, of.principal_id if of else None, now):
                raise NotFound("There is no such session.")
            tx.events.append(Event(EventType.TOKEN_REVOKED, now, actor, {"token_id": token_id}))

    def _used_after(self, now: datetime) -> datetime | None:
        return now - self._inactivity if self._inactivity else None

    def _page(self, kind: PrincipalKind, limit: int, cursor: str | None) -> Page[Principal]:
        with self._store.reading() as tx:
            return tx.principals.page(kind, limit, cursor)

    def _disable(self, tx: Transaction, principal: Principal, event: EventType, actor: str) -> Principal:
        if principal.is_disabled and tx.principals.is_genuine(principal.kind, principal.login):
            return principal
        now = self._now()
        tx.principals.disable(principal.id, now)
        tx.events.append(Event(event, now, actor, {"login": principal.login}))
        return tx.principals.find(principal.kind, principal.login)

    def _lock_for(
        self,
        tx: Transaction,
        kind: PrincipalKind,
        login: str,
        caller: Caller | None,
        *,
        takes_forged: bool = False,
    ) -> Principal:
        """Lock a principal for a change by a caller who is live; only their like change owners.

        takes_forged: as in `store.principals.Principals.find`.
        """
        self._check_live(tx, caller)
        principal = tx.principals.find(kind, login, lock=True, takes_forged=takes_forged)
        if principal.role is Role.OWNER:
            _check_within(principal.scopes, caller)
        return principal

    def _check_live(self, tx: Transaction, caller: Caller | None) -> None:
        """Raise `Unauthenticated` where a caller's token ended since the request began."""
        now = self._now()
        if caller is not None and tx.tokens.find(caller.token_id, now, self._used_after(now)) is None:
            raise Unauthenticated("The token was revoked or has ended.")

    def _keep_an_owner(self, tx: Transaction, user: Principal) -> None:
        if tx.principals.owners() == {user.id}:
            raise LastOwner("This is the last user with the role owner.")


def check_login_password(password: Secret) -> None:
    """Refuse a password that is easy to guess or no text.

    Raises `CommonPassword`, `WeakPassword` or `MalformedRequest`.
    """
    text = read_text(password, LONGEST_PASSWORD)
    refuse_weak(text)
    if is_frequent(text):
        raise CommonPassword("The password is one of the most common ones, or little more than one.")


def _check_within(scopes: frozenset[Scope], caller: Caller | None) -> None:
    if caller is not None and (beyond := scopes - caller.scopes):
        raise InsufficientScope(
            f"That needs a token with all scopes of the account; yours lacks {' '.join(sorted(beyond))}."
        )


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise MalformedRequest(f"A name has 1 to {LONGEST_NAME} characters, and none that controls.")


def _generated() -> Secret:
    return Secret(secrets.token_urlsafe(18).encode())


def _new_client_id() -> str:
    return CLIENT_PREFIX + secrets.token_hex(8)


def _new_secret() -> Secret:
    return Secret((_SECRET_PREFIX + secrets.token_urlsafe(32)).encode())
