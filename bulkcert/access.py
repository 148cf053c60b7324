"""Who may come in: passwords, sessions, and the keys that tokens are signed with.

Passwords are hashed by argon2id at 19 MiB and two passes (OWASP password storage), at most two at a time:
a flood of logins must not take the machine's memory. Failed logins slow down their source, never the
login itself for everybody else, so nobody can lock the administrator out.
"""

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bulkcert.errors import TooManyRequests, Unauthenticated, WrongCredentials
from bulkcert.events import Event, EventType
from bulkcert.principals import SCOPES_OF, Caller, Role, Session
from bulkcert.secret import Secret
from bulkcert.store import Store, Transaction
from bulkcert.store.access import KeptSigningKey, User
from bulkcert.vault import Place, Vault

_WRONG = "Login and password do not belong together."
_FREE_FAILURES = 5
_FREE_FAILURES_OF_SOURCE = 50
_LONGEST_DELAY = timedelta(seconds=60)
_FORGET_AFTER = timedelta(hours=1)
_TOUCH_AFTER = timedelta(seconds=30)
"""The use of a token is noted at most this often, so that reading does not become writing."""


@dataclass(frozen=True)
class TokenRules:
    """How long tokens last. `inactivity` (None: no such end) also ends a token that is not used."""

    lifetime: timedelta
    inactivity: timedelta | None


class Passwords:
    """argon2id hashes of passwords."""

    def __init__(self, at_once: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._turn = threading.BoundedSemaphore(at_once)
        self._nobody = self.hash(Secret(secrets.token_bytes(16)))

    def hash(self, password: Secret) -> str:
        """Hash a password; the result holds its salt and parameters."""
        with self._turn:
            return self._hasher.hash(password.reveal())

    def matches(self, password_hash: str | None, password: Secret) -> bool:
        """Check a password; without a hash it takes the same time and says no."""
        with self._turn:
            try:
                self._hasher.verify(password_hash or self._nobody, password.reveal())
            except (VerificationError, InvalidHashError):
                return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


class Access:
    """Logins, sessions and signing keys."""

    def __init__(
        self, store: Store, vault: Vault, passwords: Passwords, rules: TokenRules, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._vault = vault
        self._passwords = passwords
        self._rules = rules
        self._now = now

    def create_user(self, login: str, password: Secret, role: Role) -> None:
        """Keep a new user."""
        password_hash = self._passwords.hash(password)
        with self._store.writing() as tx:
            self._insert_user(tx, login, password_hash, role)

    def begin(self, tx: Transaction, administrator: str, password: Secret) -> None:
        """Make the first administrator and the first signing key, in the transaction of `init`."""
        self._insert_user(tx, administrator, self._passwords.hash(password), Role.OWNER)
        self._insert_signing_key(tx)

    def log_in(self, login: str, password: Secret, source: str) -> Session:
        """Open a session, or raise `WrongCredentials` or `TooManyRequests`. source: the client's address."""
        throttles = _throttles(login, source)
        with self._store.reading() as tx:
            self._refuse_throttled(tx, throttles)
            user = tx.users.find(login)
        known = user is not None and not user.is_disabled
        if not self._passwords.matches(user.password_hash if user and known else None, password):
            self._refuse(login, source, throttles)
        assert user is not None
        return self._open_session(user, password, source, throttles)

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
            with self._store.writing() as tx:
                tx.tokens.touch(token_id, now)
        return session

    def log_out(self, caller: Caller) -> None:
        """End the caller's own session."""
        self._revoke(caller, caller.token_id, EventType.LOGOUT)

    def revoke(self, caller: Caller, token_id: str) -> None:
        """Revoke one of the caller's tokens; anybody else's, or none, changes nothing (RFC 7009 §2.2)."""
        self._revoke(caller, token_id, EventType.TOKEN_REVOKED)

    def signing_key(self) -> tuple[str, Secret]:
        """Open the newest signing key: its id, and its private half as PKCS#8 PEM."""
        with self._store.reading() as tx:
            newest = tx.keys.signing_keys()[0]
        return newest.id, self._vault.open(newest.sealed_private_pem, _signing_key_place(newest.id))

    def public_keys(self) -> Mapping[str, bytes]:
        """Read the public halves of all signing keys as PEM, by id."""
        with self._store.reading() as tx:
            return {key.id: key.public_pem.encode() for key in tx.keys.signing_keys()}

    def _insert_user(self, tx: Transaction, login: str, password_hash: str, role: Role) -> None:
        now = self._now()
        tx.users.insert(login, password_hash, role, now)
        tx.events.append(Event(EventType.USER_CREATED, now, "system", {"login": login, "role": role}))

    def _insert_signing_key(self, tx: Transaction) -> None:
        key = Ed25519PrivateKey.generate()
        key_id = secrets.token_hex(8)
        private_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public_pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        sealed = self._vault.seal(Secret(private_pem), _signing_key_place(key_id))
        now = self._now()
        tx.keys.insert_signing_key(KeptSigningKey(key_id, public_pem.decode(), sealed), now)
        tx.events.append(Event(EventType.SIGNING_KEY_CREATED, now, "system", {"key_id": key_id}))

    def _open_session(
        self, user: User, password: Secret, source: str, throttles: Mapping[str, int]
    ) -> Session:  # fmt: skip
        now = self._now()
        session = Session(
            token_id=secrets.token_hex(16),
            user_id=user.id,
            login=user.login,
            role=user.role,
            scopes=SCOPES_OF[user.role],
            issued_at=now,
            expires_at=now + self._rules.lifetime,
        )
        upgraded = self._passwords.hash(password) if self._passwords.is_outdated(user.password_hash) else None
        with self._store.writing() as tx:
            tx.tokens.insert(session)
            tx.tokens.delete_ended(now - _FORGET_AFTER)
            for throttle_id in throttles:
                tx.throttles.clear(throttle_id, now - _FORGET_AFTER)
            if upgraded:
                tx.users.upgrade_hash(user.id, upgraded)
            tx.events.append(Event(EventType.LOGIN, now, user.login, {"source": source}))
        return session

    def _refuse_throttled(self, tx: Transaction, throttles: Mapping[str, int]) -> None:
        now = self._now()
        for throttle_id, free in throttles.items():
            throttle = tx.throttles.find(throttle_id)
            if throttle is None or throttle.failures < free:
                continue
            delay = min(timedelta(seconds=2.0 ** min(throttle.failures - free, 10)), _LONGEST_DELAY)
            left = throttle.last_failed_at + delay - now
            if left > timedelta(0):
                raise TooManyRequests("Too many logins failed.", retry_after=int(left.total_seconds()) + 1)

    def _refuse(self, login: str, source: str, throttles: Mapping[str, int]) -> None:
        now = self._now()
        with self._store.writing() as tx:
            for throttle_id in throttles:
                throttle = tx.throttles.find(throttle_id)
                fresh = throttle is not None and now - throttle.last_failed_at < _FORGET_AFTER
                tx.throttles.set(throttle_id, (throttle.failures if throttle and fresh else 0) + 1, now)
            # A login that does not exist may be a password typed into the wrong field: it is not recorded.
            actor = login if tx.users.find(login) else "unknown"
            tx.events.append(Event(EventType.LOGIN_REFUSED, now, actor, {"source": source}))
        raise WrongCredentials(_WRONG)

    def _revoke(self, caller: Caller, token_id: str, event: EventType) -> None:
        now = self._now()
        with self._store.writing() as tx:
            if tx.tokens.revoke(token_id, caller.user_id, now):
                tx.events.append(Event(event, now, caller.login, {"token_id": token_id}))


def _signing_key_place(key_id: str) -> Place:
    return Place("signing_keys", key_id, "sealed_private_pem")


def _throttles(login: str, source: str) -> dict[str, int]:
    """Name the two counts that a login falls under, and how many failures each has free."""
    both = hashlib.sha256(f"login\x00{source}\x00{login}".encode(errors="surrogatepass")).hexdigest()
    alone = hashlib.sha256(f"source\x00{source}".encode(errors="surrogatepass")).hexdigest()
    return {both: _FREE_FAILURES, alone: _FREE_FAILURES_OF_SOURCE}
