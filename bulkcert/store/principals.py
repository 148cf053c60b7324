"""Users and clients, and the secrets of clients."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import NotFound
from bulkcert.principals import SCOPES_OF, Principal, PrincipalKind, Role, Scope
from bulkcert.reports import Page
from bulkcert.store import cursors
from bulkcert.store.schema import client_secrets, principals


@dataclass(frozen=True)
class User:
    """A user with the hash of its password (argon2id's encoded form), for the verbs that check it."""

    principal: Principal
    password_hash: str


class Principals:
    """Keep users and clients."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert_user(self, login: str, password_hash: str, role: Role, now: datetime) -> Principal:
        """Keep a new user; its login must be free (`has_login`)."""
        return self._insert(
            kind=PrincipalKind.USER,
            login=login,
            name=login,
            password_hash=password_hash,
            role=role,
            created_at=now,
        )

    def insert_client(self, client_id: str, name: str, scopes: frozenset[Scope], now: datetime) -> Principal:
        """Keep a new client."""
        words = " ".join(sorted(scopes))
        return self._insert(
            kind=PrincipalKind.CLIENT, login=client_id, name=name, scopes=words, created_at=now
        )

    def _insert(self, **values: Any) -> Principal:  # noqa: ANN401 - columns
        row = self._connection.execute(
            sa.insert(principals)
            .values(values | {"is_disabled": False, "tokens_valid_from": values["created_at"]})
            .returning(*principals.c)
        ).one()
        return _principal(row)

    def has_login(self, login: str) -> bool:
        """Tell whether a login is taken."""
        query = sa.select(principals.c.id).where(principals.c.login == login)
        return self._connection.execute(query).first() is not None

    def find(self, kind: PrincipalKind, login: str) -> Principal:
        """Look a principal up, exactly as its login is written, or raise `NotFound`."""
        row = self._connection.execute(
            sa.select(principals).where(principals.c.kind == kind, principals.c.login == login)
        ).first()
        if row is None:
            raise NotFound(f"There is no such {kind}.")
        return _principal(row)

    def find_user(self, login: str) -> User | None:
        """Look a user up with the hash of its password."""
        row = self._connection.execute(
            sa.select(principals).where(principals.c.kind == PrincipalKind.USER, principals.c.login == login)
        ).first()
        return None if row is None else User(_principal(row), row.password_hash)

    def page(self, kind: PrincipalKind, limit: int, cursor: str | None) -> Page[Principal]:
        """List users or clients, the oldest first."""
        query = sa.select(principals).where(principals.c.kind == kind)
        if cursor is not None:
            query = query.where(principals.c.id > cursors.read_number(cursor))
        rows = self._connection.execute(query.order_by(principals.c.id).limit(limit + 1))
        return cursors.page([(row.id, _principal(row)) for row in rows], limit)

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
        """Disable a principal; every token issued before `now` ends."""
        self._update(principal_id, is_disabled=True, tokens_valid_from=now)

    def change_password(self, principal_id: int, password_hash: str, now: datetime) -> None:
        """Give a user another password; every token issued before `now` ends."""
        self._update(principal_id, password_hash=password_hash, tokens_valid_from=now)

    def change_role(self, principal_id: int, role: Role, now: datetime) -> None:
        """Give a user another role; every token issued before `now` ends."""
        self._update(principal_id, role=role, tokens_valid_from=now)

    def upgrade_hash(self, principal_id: int, password_hash: str) -> None:
        """Keep a stronger hash of the same password; tokens stay."""
        self._update(principal_id, password_hash=password_hash)

    def _update(self, principal_id: int, **values: Any) -> None:  # noqa: ANN401 - columns
        self._connection.execute(sa.update(principals).where(principals.c.id == principal_id).values(values))


class ClientSecrets:
    """Digests of the secrets of clients. A client may have several while it changes over."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, principal_id: int, digest: str, now: datetime) -> None:
        """Keep the digest of a new secret."""
        self._connection.execute(
            sa.insert(client_secrets).values(digest=digest, principal_id=principal_id, created_at=now)
        )

    def end(self, principal_id: int, at: datetime) -> None:
        """Let every secret of a client that has no earlier end, end at a time."""
        later = client_secrets.c.expires_at.is_(None) | (client_secrets.c.expires_at > at)
        self._connection.execute(
            sa.update(client_secrets)
            .where(client_secrets.c.principal_id == principal_id, later)
            .values(expires_at=at)
        )

    def find_owner(self, client_id: str, digest: str, now: datetime) -> Principal | None:
        """Find the client that is not disabled and whose secret, valid at `now`, has this digest."""
        row = self._connection.execute(
            sa.select(principals)
            .join(client_secrets)
            .where(
                principals.c.kind == PrincipalKind.CLIENT,
                principals.c.login == client_id,
                principals.c.is_disabled.is_(False),
                client_secrets.c.digest == digest,
                client_secrets.c.expires_at.is_(None) | (client_secrets.c.expires_at > now),
            )
        ).first()
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
