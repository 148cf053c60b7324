"""Users and clients, and the secrets of clients."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import LimitReached, NotFound
from bulkcert.principals import SCOPES_OF, Principal, PrincipalKind, Role, Scope
from bulkcert.reports import Page
from bulkcert.store import cursors
from bulkcert.store.schema import client_secrets, principals


@dataclass(frozen=True)
class User:
    """A user with the hash of its password (argon2id's encoded form), for the verbs that check it."""

    principal: Principal
    password_hash: str


_MOST_OF_A_KIND = 10_000
_MOST_SECRETS = 10


class Principals:
    """Keep users and clients."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert_user(self, login: str, password_hash: str, role: Role, now: datetime) -> Principal:
        """Keep a new user; its login must be free (`has_login`). Raises `LimitReached`."""
        return self._insert(
            kind=PrincipalKind.USER,
            login=login,
            name=login,
            password_hash=password_hash,
            role=role,
            created_at=now,
        )

    def insert_client(self, client_id: str, name: str, scopes: frozenset[Scope], now: datetime) -> Principal:
        """Keep a new client. Raises `LimitReached`."""
        words = " ".join(sorted(scopes))
        return self._insert(
            kind=PrincipalKind.CLIENT, login=client_id, name=name, scopes=words, created_at=now
        )

    def _insert(self, *, kind: PrincipalKind, **values: Any) -> Principal:  # noqa: ANN401 - columns
        number = sa.select(sa.func.count()).select_from(principals).where(principals.c.kind == kind)
        if self._connection.execute(number).scalar_one() >= _MOST_OF_A_KIND:
            raise LimitReached(f"There are {_MOST_OF_A_KIND} {kind}s, and no more may be made.")
        values |= {"kind": kind, "is_disabled": False, "tokens_valid_from": values["created_at"]}
        row = self._connection.execute(sa.insert(principals).values(values).returning(*principals.c)).one()
        return _principal(row)

    def has_login(self, login: str) -> bool:
        """Tell whether a login is taken."""
        query = sa.select(principals.c.id).where(principals.c.login == login)
        return self._connection.execute(query).first() is not None

    def is_disabled(self, principal_id: int) -> bool:
        """Return whether a principal is disabled; its row is locked until the transaction ends."""
        query = sa.select(principals.c.is_disabled).where(principals.c.id == principal_id).with_for_update()
        return bool(self._connection.execute(query).scalar())

    def find(self, kind: PrincipalKind, login: str, *, lock: bool = False) -> Principal:
        """Return a principal, exactly as its login is written, or raise `NotFound`.

        lock: whether its row is locked until the transaction ends.
        """
        row = self._row(kind, login, lock=lock)
        if row is None:
            raise NotFound(f"There is no such {kind}.")
        return _principal(row)

    def find_user(self, login: str, *, lock: bool = False) -> User | None:
        """Return a user with the hash of its password. lock: as in `find`."""
        row = self._row(PrincipalKind.USER, login, lock=lock)
        return None if row is None else User(_principal(row), row.password_hash)

    def _row(self, kind: PrincipalKind, login: str, *, lock: bool) -> Row[Any] | None:
        query = sa.select(principals).where(principals.c.kind == kind, principals.c.login == login)
        return self._connection.execute(query.with_for_update() if lock else query).first()

    def page(self, kind: PrincipalKind, limit: int, cursor: str | None) -> Page[Principal]:
        """List users or clients, the oldest first."""
        query = sa.select(principals).where(principals.c.kind == kind)
        if cursor is not None:
            query = query.where(principals.c.id > cursors.read_number(cursor))
        rows = self._connection.execute(query.order_by(principals.c.id).limit(limit + 1))
        return cursors.page(((row.id, cursors.size_of(row), _principal(row)) for row in rows), limit)

    def count_owners(self) -> int:
        """Count the users who may do everything and are not disabled."""
        return int(
            self._connection.execute(
                sa.select(sa.func.count()).where(
                    principals.c.role == Role.OWNER, principals.c.is_disabled.is_(False)
                )
            ).scalar_one()
        )

    def disable(self, principal_id: int, now: datetime) -> None:
        """Disable a principal; all of its tokens end."""
        self._end_tokens(principal_id, now, is_disabled=True)

    def change_password(self, principal_id: int, password_hash: str, now: datetime) -> None:
        """Give a user another password; all of its tokens end."""
        self._end_tokens(principal_id, now, password_hash=password_hash)

    def change_role(self, principal_id: int, role: Role, now: datetime) -> None:
        """Give a user another role; all of its tokens end."""
        self._end_tokens(principal_id, now, role=role)

    def end_tokens(self, principal_id: int, now: datetime) -> None:
        """End all tokens of a principal."""
        self._end_tokens(principal_id, now)

    def upgrade_hash(self, principal_id: int, password_hash: str) -> None:
        """Keep a stronger hash of the same password; tokens stay."""
        self._update(principal_id, password_hash=password_hash)

    def _end_tokens(self, principal_id: int, now: datetime, **values: Any) -> None:  # noqa: ANN401 - columns
        next_generation = principals.c.generation + 1
        self._update(principal_id, generation=next_generation, tokens_valid_from=now, **values)

    def _update(self, principal_id: int, **values: Any) -> None:  # noqa: ANN401 - columns
        self._connection.execute(sa.update(principals).where(principals.c.id == principal_id).values(values))


class ClientSecrets:
    """Digests of the secrets of clients. A client may have several while it changes over."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, principal_id: int, digest: str, now: datetime) -> None:
        """Keep the digest of a new secret; of those before, the last nine stay."""
        self._connection.execute(
            sa.insert(client_secrets).values(digest=digest, principal_id=principal_id, created_at=now)
        )
        column = client_secrets.c
        oldest = (
            sa.select(column.digest)
            .where(column.principal_id == principal_id)
            .order_by(column.expires_at.is_not(None), column.created_at.desc(), column.digest)
            .offset(_MOST_SECRETS)
        )
        self._connection.execute(sa.delete(client_secrets).where(column.digest.in_(oldest)))

    def end(self, principal_id: int, at: datetime) -> None:
        """Let every secret of a client that has no earlier end, end at a time."""
        later = client_secrets.c.expires_at.is_(None) | (client_secrets.c.expires_at > at)
        self._connection.execute(
            sa.update(client_secrets)
            .where(client_secrets.c.principal_id == principal_id, later)
            .values(expires_at=at)
        )

    def lock_owner(self, client_id: str, digest: str, now: datetime) -> Principal | None:
        """Lock and return the enabled client whose secret, valid at `now`, has this digest."""
        query = (
            sa.select(principals)
            .join(client_secrets)
            .where(
                principals.c.kind == PrincipalKind.CLIENT,
                principals.c.login == client_id,
                principals.c.is_disabled.is_(False),
                client_secrets.c.digest == digest,
                client_secrets.c.expires_at.is_(None) | (client_secrets.c.expires_at > now),
            )
        )
        row = self._connection.execute(query.with_for_update(of=principals)).first()
        return None if row is None else _principal(row)


def _principal(row: Row[Any]) -> Principal:
    role = Role(row.role) if row.role else None
    scopes = SCOPES_OF[role] if role else frozenset(Scope(word) for word in (row.scopes or "").split())
    return Principal(
        id=row.id,
        kind=PrincipalKind(row.kind),
        login=row.login,
        name=row.name,
        role=role,
        scopes=scopes,
        is_disabled=row.is_disabled,
        created_at=row.created_at,
    )
