"""Logins and sessions of users and clients. Failed logins slow their source down (`throttle`)."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from bulkcert.access.hashing import Passwords, digest_of
from bulkcert.access.signing_keys import SigningKeys
from bulkcert.access.throttle import FORGET_AFTER, LoginQueue, Throttle
from bulkcert.errors import InvalidScope, Unauthenticated, Unavailable, WrongCredentials
from bulkcert.store.access.principals import User
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.events import Event, EventType
from bulkcert.values.principals import Caller, Principal, Role, Scope, Session
from bulkcert.values.secret import Secret
from bulkcert.vault.vault import Vault

_WRONG = "Login and password (or client id and secret) do not belong together."
_MOST_CHECKS = 3
"""How often a password is checked where its hash changes during the check."""

_TOUCH_AFTER = timedelta(seconds=30)
"""The use of a token is noted at most this often, so that reading does not become writing."""


@dataclass(frozen=True)
class TokenRules:
    """How long tokens last. `inactivity` (None: no such end) also ends a token that is not used."""

    lifetime: timedelta
    inactivity: timedelta | None


class Access:
    """Logins, sessions and signing keys."""

    def __init__(
        self, store: Store, vault: Vault, passwords: Passwords, rules: TokenRules, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._signing_keys = SigningKeys(store, vault)
        self._passwords = passwords
        self._rules = rules
        self._now = now
        self._throttle = Throttle(store, now)
        self._queue = LoginQueue()

    def begin(self, tx: Transaction, administrator: str, password: Secret) -> None:
        """Make the first administrator and the first signing key, in the transaction of `init`."""
        now = self._now()
        tx.principals.insert_user(administrator, self._passwords.hash(password), Role.OWNER, now)
        facts = {"login": administrator, "role": Role.OWNER}
        tx.events.append(Event(EventType.USER_CREATED, now, "system", facts))
        self._signing_keys.insert(tx, now)

    def log_in(self, login: str, password: Secret, source: str) -> Session:
        """Open a session, or raise `WrongCredentials` or `TooManyRequests`. source: the client's address."""
        with self._queue.place(source):
            self._throttle.admit(login, source)
            return self._check_password(login, password, source)

    def _check_password(self, login: str, password: Secret, source: str) -> Session:
        for _ in range(_MOST_CHECKS):
            with self._store.reading() as tx:
                user = tx.principals.find_user(login)
            known = user is not None and not user.principal.is_disabled
            if not self._passwords.matches(user.password_hash if user and known else None, password):
                break
            assert user is not None
            if session := self._open_session(user, password, source):
                return session
        raise self._record_refusal(login, source)

    def find_session(self, token_id: str) -> Session:
        """Find the live session of a token and note its use, or raise `Unauthenticated`."""
        now = self._now()
        used_after = now - self._rules.inactivity if self._rules.inactivity else None
        with self._store.reading() as tx:
            found = tx.tokens.find(token_id, now, used_after)
        if found is None:
            raise Unauthenticated("The token was revoked or has ended.")
        session, last_used_at = found
        if self._rules.inactivity and now - last_used_at > min(_TOUCH_AFTER, self._rules.inactivity / 4):
            # A busy database must not turn reading into waiting: the next request notes its use.
            with suppress(Unavailable), self._store.writing() as tx:
                tx.tokens.touch(token_id, now)
        return session

    def log_out(self, caller: Caller) -> None:
        """End the caller's own session."""
        self._revoke(caller.principal_id, caller.login, caller.token_id, EventType.LOGOUT)

    def revoke(self, principal_id: int, login: str, token_id: str) -> None:
        """Revoke a token of this principal; anybody else's, or none, changes nothing (RFC 7009 §2.2)."""
        self._revoke(principal_id, login, token_id, EventType.TOKEN_REVOKED)

    def signing_key(self) -> tuple[str, Secret]:
        """Open the newest signing key: its id, and its private half as PKCS#8 PEM."""
        return self._signing_keys.newest()

    def public_keys(self) -> Mapping[str, bytes]:
        """Return the public halves of all signing keys as PEM, by id."""
        return self._signing_keys.public_keys()

    def log_in_client(self, client_id: str, secret: Secret, wanted: str | None, source: str) -> Session:
        """Open a session for a machine (RFC 6749 §4.4).

        Raises `WrongCredentials`, `TooManyRequests` or `InvalidScope`.

        secret: 256 random bits, so a plain digest is kept of it; failures are throttled only because each is
        recorded. wanted: scopes apart by spaces; None or nothing is all that the client has.
        """
        self._throttle.admit(client_id, source)
        now = self._now()
        with self._store.writing() as tx:
            client = tx.client_secrets.lock_owner(client_id, digest_of(secret), now)
            if client is not None:
                self._throttle.forgive(tx, client_id, source)  # the secret was right, whatever is asked for
                scopes = _granted(client, wanted)
                if scopes is not None:
                    session = self._new_session(client, now, scopes)
                    self._keep_session(tx, session, source, now)
                    return session
        if client is None:
            raise self._record_refusal(client_id, source)
        raise InvalidScope(f"The client was not given {_beyond(client, wanted)}.")

    def authenticate_client(self, client_id: str, secret: Secret, source: str) -> Principal:
        """Return the client of this id and secret, or raise `WrongCredentials` or `TooManyRequests`."""
        self._throttle.admit(client_id, source)
        with self._store.writing() as tx:
            client = tx.client_secrets.lock_owner(client_id, digest_of(secret), self._now())
            if client is not None:
                self._throttle.forgive(tx, client_id, source)
                return client
        raise self._record_refusal(client_id, source)

    def _new_session(self, principal: Principal, now: datetime, scopes: frozenset[Scope]) -> Session:
        return Session(
            token_id=secrets.token_hex(16),
            principal_id=principal.id,
            login=principal.login,
            scopes=scopes,
            issued_at=now,
            expires_at=now + self._rules.lifetime,
        )

    def _keep_session(self, tx: Transaction, session: Session, source: str, now: datetime) -> None:
        self._throttle.forgive(tx, session.login, source)
        tx.tokens.insert(session)
        tx.tokens.delete_ended(now - FORGET_AFTER)
        tx.events.append(Event(EventType.LOGIN, now, session.login, {"source": source}))

    def _open_session(self, checked: User, password: Secret, source: str) -> Session | None:
        """Open a session of a user whose password was checked; return None where it was changed meanwhile.

        Checking a password is slow: the user may have been disabled, demoted or given another one since.
        """
        now = self._now()
        is_outdated = self._passwords.is_outdated(checked.password_hash)
        upgraded = self._passwords.hash(password) if is_outdated else None
        with self._store.writing() as tx:
            user = tx.principals.find_user(checked.principal.login, lock=True)
            if user is None or user.password_hash != checked.password_hash or user.principal.is_disabled:
                return None
            session = self._new_session(user.principal, now, user.principal.scopes)
            if upgraded:
                tx.principals.upgrade_hash(user.principal.id, upgraded)
            self._keep_session(tx, session, source, now)
        return session

    def _record_refusal(self, login: str, source: str) -> WrongCredentials:
        """Record a refused login; return the error that says so."""
        now = self._now()
        with self._store.writing() as tx:
            # A login that does not exist may be a password typed into the wrong field: it is not recorded.
            actor = tx.principals.find_login(login) or "unknown"
            tx.events.append(Event(EventType.LOGIN_REFUSED, now, actor, {"source": source}))
        return WrongCredentials(_WRONG)

    def _revoke(self, principal_id: int, login: str, token_id: str, event: EventType) -> None:
        now = self._now()
        with self._store.writing() as tx:
            if tx.tokens.revoke(token_id, principal_id, now):
                tx.events.append(Event(event, now, login, {"token_id": token_id}))


def _granted(client: Principal, wanted: str | None) -> frozenset[Scope] | None:
    """Return the scopes that a client asks for; None where they are wider than its own (RFC 6749 §3.3)."""
    words = frozenset((wanted or "").split())
    if not words:
        return client.scopes
    return frozenset(Scope(word) for word in words) if words <= client.scopes else None


def _beyond(client: Principal, wanted: str | None) -> str:
    """Return the names of known scopes that a client asks for and does not have."""
    beyond = frozenset((wanted or "").split()) - client.scopes
    return ", ".join(sorted(beyond & set(Scope))) or "something unknown"
