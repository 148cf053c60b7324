"""Users, tokens, signing keys, login throttles, and the check of the master key."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.principals import Role, Scope, Session
from bulkcert.store.schema import login_throttles, signing_keys, tokens, users, vault_checks


@dataclass(frozen=True)
class User:
    """A user as kept. The hash is argon2id's encoded form; it never leaves the store and its verb."""

    id: int
    login: str
    password_hash: str
    role: Role
    is_disabled: bool


@dataclass(frozen=True)
class Throttle:
    """How often a login or source has failed lately."""

    failures: int
    last_failed_at: datetime


class Users:
    """People who log in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, login: str, password_hash: str, role: Role, now: datetime) -> int:
        """Keep a new user and return its id."""
        values = {
            "login": login,
            "password_hash": password_hash,
            "role": role,
            "is_disabled": False,
            "tokens_valid_from": now,
            "created_at": now,
        }
        key = self._connection.execute(sa.insert(users).values(values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def find(self, login: str) -> User | None:
        """Look a user up by login, exactly as written."""
        row = self._connection.execute(sa.select(users).where(users.c.login == login)).first()
        if row is None:
            return None
        return User(row.id, row.login, row.password_hash, Role(row.role), row.is_disabled)

    def disable(self, user_id: int, now: datetime) -> None:
        """Disable a user; every token issued before `now` ends."""
        self._connection.execute(
            sa.update(users).where(users.c.id == user_id).values(is_disabled=True, tokens_valid_from=now)
        )

    def change_password(self, user_id: int, password_hash: str, now: datetime) -> None:
        """Give a user another password; every token issued before `now` ends."""
        self._connection.execute(
            sa.update(users)
            .where(users.c.id == user_id)
            .values(password_hash=password_hash, tokens_valid_from=now)
        )

    def upgrade_hash(self, user_id: int, password_hash: str) -> None:
        """Keep a stronger hash of the same password; tokens stay."""
        self._connection.execute(
            sa.update(users).where(users.c.id == user_id).values(password_hash=password_hash)
        )


class Tokens:
    """One row for each token that was issued, so that each can be revoked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, session: Session) -> None:
        """Keep a new token."""
        self._connection.execute(
            sa.insert(tokens).values(
                id=session.token_id,
                user_id=session.user_id,
                scopes=" ".join(sorted(session.scopes)),
                issued_at=session.issued_at,
                expires_at=session.expires_at,
                last_used_at=session.issued_at,
            )
        )

    def find(
        self, token_id: str, now: datetime, used_after: datetime | None
    ) -> tuple[Session, datetime] | None:
        """Look up a token that is valid at `now`, with the time of its last use.

        A token is valid unless it has ended, was revoked, was issued before its user's `tokens_valid_from`,
        belongs to a disabled user, or was last used before `used_after`.
        """
        query = sa.select(tokens, users.c.login, users.c.role).join(users).where(
            tokens.c.id == token_id,
            tokens.c.revoked_at.is_(None),
            tokens.c.expires_at > now,
            tokens.c.issued_at >= users.c.tokens_valid_from,
            users.c.is_disabled.is_(False),
        )  # fmt: skip
        if used_after is not None:
            query = query.where(tokens.c.last_used_at >= used_after)
        row = self._connection.execute(query).first()
        if row is None:
            return None
        scopes = frozenset(Scope(scope) for scope in row.scopes.split())
        session = Session(
            row.id, row.user_id, row.login, Role(row.role), scopes, row.issued_at, row.expires_at
        )
        return session, row.last_used_at

    def touch(self, token_id: str, now: datetime) -> None:
        """Note that a token was used."""
        self._connection.execute(sa.update(tokens).where(tokens.c.id == token_id).values(last_used_at=now))

    def revoke(self, token_id: str, user_id: int, now: datetime) -> bool:
        """Revoke a user's token; tells whether there was one to revoke."""
        result = self._connection.execute(
            sa.update(tokens)
            .where(tokens.c.id == token_id, tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        return bool(result.rowcount)

    def delete_ended(self, before: datetime) -> None:
        """Forget tokens that ended before a time."""
        self._connection.execute(sa.delete(tokens).where(tokens.c.expires_at < before))


class Throttles:
    """Failed logins, counted by digests of login and source."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, throttle_id: str) -> Throttle | None:
        """Look a count up."""
        row = self._connection.execute(
            sa.select(login_throttles).where(login_throttles.c.id == throttle_id)
        ).first()
        return None if row is None else Throttle(row.failures, row.last_failed_at)

    def set(self, throttle_id: str, failures: int, now: datetime) -> None:
        """Keep a count."""
        values = {"failures": failures, "last_failed_at": now}
        changed = self._connection.execute(
            sa.update(login_throttles).where(login_throttles.c.id == throttle_id).values(values)
        )
        if not changed.rowcount:
            self._connection.execute(sa.insert(login_throttles).values(id=throttle_id, **values))

    def clear(self, throttle_id: str, stale_before: datetime) -> None:
        """Forget one count, and all that are older than `stale_before`."""
        old = login_throttles.c.last_failed_at < stale_before
        self._connection.execute(
            sa.delete(login_throttles).where((login_throttles.c.id == throttle_id) | old)
        )


@dataclass(frozen=True)
class KeptSigningKey:
    """A signing key with its private half sealed."""

    id: str
    public_pem: str
    sealed_private_pem: bytes


class Keys:
    """Signing keys, newest first, and the sealed check of the master key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert_signing_key(self, key: KeptSigningKey, now: datetime) -> None:
        """Keep a new signing key."""
        self._connection.execute(
            sa.insert(signing_keys).values(
                id=key.id,
                public_pem=key.public_pem,
                sealed_private_pem=key.sealed_private_pem,
                created_at=now,
            )
        )

    def signing_keys(self) -> tuple[KeptSigningKey, ...]:
        """Read all signing keys, the newest first."""
        rows = self._connection.execute(sa.select(signing_keys).order_by(signing_keys.c.created_at.desc()))
        return tuple(KeptSigningKey(row.id, row.public_pem, row.sealed_private_pem) for row in rows)

    def insert_check(self, check_id: str, sealed: bytes) -> None:
        """Keep a sealed value that only the right master key opens."""
        self._connection.execute(sa.insert(vault_checks).values(id=check_id, sealed=sealed))

    def check(self, check_id: str) -> bytes | None:
        """Read that value."""
        return self._connection.execute(
            sa.select(vault_checks.c.sealed).where(vault_checks.c.id == check_id)
        ).scalar_one_or_none()
