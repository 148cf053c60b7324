"""Users, clients, and the secrets of clients. They are found by the keys of their logins (`logins`).

Their rows are signed: an altered row grants nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import LimitReached, NotFound
from bulkcert.store.access.signatures import Signatures
from bulkcert.store.sql import cursors
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.access import client_secrets, principals
from bulkcert.values.logins import key_of
from bulkcert.values.pages import Page
from bulkcert.values.principals import SCOPES_OF, Principal, PrincipalKind, Role, Scope, known_scopes


@dataclass(frozen=True)
class User:
    """A user with the hash of its password (argon2id's encoded form)."""

    principal: Principal
    password_hash: str


_ROLES = frozenset(Role)
_MOST_OF_A_KIND = 10_000
_MOST_SECRETS = 10


class Principals:
    """Rows of users and clients."""

    def __init__(self, connection: Connection, signatures: Signatures) -> None:
        self._connection = connection
        self._signatures = signatures

    def insert_user(self, login: str, password_hash: str, role: Role, now: datetime) -> Principal:
        """Insert a user, whose login must be free (`find_login`), or raise `LimitReached`."""
        return self._insert(
            kind=PrincipalKind.USER,
            login=login,
            name=login,
            password_hash=password_hash,
            role=role,
            created_at=now,
        )

    def insert_client(self, client_id: str, name: str, scopes: frozenset[Scope], now: datetime) -> Principal:
        """Insert a client, or raise `LimitReached`."""
        words = " ".join(sorted(scopes))
        return self._insert(
            kind=PrincipalKind.CLIENT, login=client_id, name=name, scopes=words, created_at=now
        )

    def _insert(self, *, kind: PrincipalKind, **values: Any) -> Principal:  # noqa: ANN401 - columns
        number = sa.select(sa.func.count()).select_from(principals).where(principals.c.kind == kind)
        if self._connection.execute(number).scalar_one() >= _MOST_OF_A_KIND:
            raise LimitReached(f"There are {_MOST_OF_A_KIND} {kind}s, and no more may be made.")
        values |= {
            "kind": kind,
            "login_key": key_of(values["login"]),
            "is_disabled": False,
            "tokens_valid_from": values["created_at"],
        }
        row = self._connection.execute(sa.insert(principals).values(values).returning(*principals.c)).one()
        self._signatures.update(principals, row, {})
        return _principal(row)

    def find_login(self, login: str) -> str | None:
        """Return the login in use of which this one is a spelling; None if it is free."""
        self.fill_login_keys()
        query = sa.select(principals.c.login).where(principals.c.login_key == key_of(login))
        return self._connection.execute(query).scalar_one_or_none()

    def fill_login_keys(self) -> list[str]:
        """Set the login keys of principals that an earlier release inserted without them.

        Returns the logins that are spellings of others; they stay without a key. Once rows must be signed,
        rows of an earlier release do not count, and nothing is changed.
        """
        if self._signatures.are_demanded():
            return []
        has_none = principals.c.login_key.is_(None), principals.c.is_disabled.is_(False)
        rows = self._connection.execute(
            sa.select(principals).where(*has_none).order_by(principals.c.id).with_for_update()
        ).all()
        colliding = []
        for row in rows:
            key = key_of(row.login)
            same = sa.select(principals.c.id).where(principals.c.login_key == key)
            if self._connection.execute(same).first() is None:
                self._signatures.update(principals, row, {"login_key": key})
            else:
                colliding.append(row.login)
        return colliding

    def is_disabled(self, principal_id: int) -> bool:
        """Lock a principal until the transaction ends, and return whether it is disabled."""
        query = sa.select(principals.c.is_disabled).where(principals.c.id == principal_id).with_for_update()
        return bool(self._connection.execute(query).scalar())

    def find(
        self, kind: PrincipalKind, login: str, *, lock: bool = False, takes_forged: bool = False
    ) -> Principal:
        """Return the principal of a login in any spelling, or raise `NotFound` or `ForgedRows`.

        Args:
            kind: user or client.
            login: the login.
            lock: whether to lock the row until the transaction ends.
            takes_forged: whether to return an altered row too, for callers that only revoke rights.
        """
        row = self._row(kind, login, lock=lock)
        if row is None:
            raise NotFound(f"There is no such {kind}.")
        if not takes_forged:
            self._signatures.require(principals, row)
        return _principal(row)

    def is_genuine(self, kind: PrincipalKind, login: str) -> bool:
        """Return whether the principal exists and its row is unaltered."""
        row = self._row(kind, login, lock=False)
        return row is not None and self._signatures.is_genuine(principals, row)

    def find_user(self, login: str, *, lock: bool = False) -> User | None:
        """Return a user with the hash of its password; None if its row is altered. lock: as in `find`."""
        row = self._row(PrincipalKind.USER, login, lock=lock)
        if row is None or not self._signatures.is_genuine(principals, row):
            return None
        return User(_principal(row), row.password_hash)

    def _row(self, kind: PrincipalKind, login: str, *, lock: bool) -> Row[Any] | None:
        query = sa.select(principals).where(principals.c.kind == kind, _is_named(login))
        query = query.order_by(principals.c.login_key.is_not(None))
        return self._connection.execute(query.with_for_update() if lock else query).first()

    def page(self, kind: PrincipalKind, limit: int, cursor: str | None) -> Page[Principal]:
        """Return a page of users or clients, oldest first."""
        query = sa.select(principals).where(principals.c.kind == kind)
        if cursor is not None:
            query = query.where(principals.c.id > cursors.read_number(cursor))
        rows = self._connection.execute(query.order_by(principals.c.id).limit(limit + 1))
        return cursors.page(((row.id, cursors.size_of(row), _principal(row)) for row in rows), limit)

    def owners(self) -> frozenset[int]:
        """Return the ids of the enabled users with the role of owner."""
        query = sa.select(principals).where(
            principals.c.role == Role.OWNER, principals.c.is_disabled.is_(False)
        )
        rows = self._connection.execute(query).all()
        return frozenset(row.id for row in rows if self._signatures.is_genuine(principals, row))

    def disable(self, principal_id: int, now: datetime) -> None:
        """Disable a principal for good, even if its row is altered, and end its tokens."""
        self._end_tokens(principal_id, now, takes_forged=True, is_disabled=True)

    def change_password(self, principal_id: int, password_hash: str, now: datetime) -> None:
        """Change the password of a user, and end its tokens."""
        self._end_tokens(principal_id, now, password_hash=password_hash)

    def change_role(self, principal_id: int, role: Role, now: datetime) -> None:
        """Change the role of a user, and end its tokens."""
        self._end_tokens(principal_id, now, role=role)

    def end_tokens(self, principal_id: int, now: datetime) -> None:
        """End all tokens of a principal."""
        self._end_tokens(principal_id, now)

    def upgrade_hash(self, principal_id: int, password_hash: str) -> None:
        """Replace the hash of an unchanged password by a stronger one; tokens stay valid."""
        self._signatures.update(principals, self._locked(principal_id), {"password_hash": password_hash})

    def _end_tokens(
        self, principal_id: int, now: datetime, *, takes_forged: bool = False, **values: object
    ) -> None:
        row = self._locked(principal_id, takes_forged=takes_forged)
        ended = {"generation": row.generation + 1, "tokens_valid_from": now}
        self._signatures.update(principals, row, ended | values)

    def _locked(self, principal_id: int, *, takes_forged: bool = False) -> Row[Any]:
        """Lock and return a principal's row for a change, which must not sign an altered row."""
        query = sa.select(principals).where(principals.c.id == principal_id).with_for_update()
        row = self._connection.execute(query).one()
        if not takes_forged:
            self._signatures.require(principals, row)
        return row


def _is_named(login: str) -> sa.ColumnElement[bool]:
    """Select the principal of a login; rows that an earlier release inserted have no login key."""
    column = principals.c
    of_earlier = sa.and_(
        column.login_key.is_(None), column.login == login, column.is_disabled.is_(False)
    )  # fmt: skip
    return sa.or_(column.login_key == key_of(login), of_earlier)


class ClientSecrets:
    """Digests of the secrets of clients. A client may have several while it changes to a new one."""

    def __init__(self, connection: Connection, signatures: Signatures) -> None:
        self._connection = connection
        self._signatures = signatures

    def insert(self, principal_id: int, digest: str, now: datetime) -> None:
        """Insert the digest of a new secret; of the earlier ones, the newest nine stay."""
        values = {"digest": digest, "principal_id": principal_id, "created_at": now, "expires_at": None}
        mac = self._signatures.mac(client_secrets, values)
        self._connection.execute(sa.insert(client_secrets).values({**values, "mac": mac}))
        column = client_secrets.c
        oldest = (
            sa.select(column.digest)
            .where(column.principal_id == principal_id)
            .order_by(column.expires_at.is_not(None), column.created_at.desc(), column.digest)
            .offset(_MOST_SECRETS)
        )
        self._connection.execute(sa.delete(client_secrets).where(column.digest.in_(oldest)))

    def end(self, principal_id: int, at: datetime) -> None:
        """Set the end of every secret of a client that ends later; delete altered ones."""
        own = sa.select(client_secrets).where(client_secrets.c.principal_id == principal_id)
        for row in self._connection.execute(own.with_for_update()).all():
            if not self._signatures.is_genuine(client_secrets, row):
                self._connection.execute(
                    sa.delete(client_secrets).where(client_secrets.c.digest == row.digest)
                )
            elif row.expires_at is None or row.expires_at > at:
                self._signatures.update(client_secrets, row, {"expires_at": at})

    def lock_owner(self, client_id: str, digest: str, now: datetime) -> Principal | None:
        """Lock and return the enabled client whose secret, valid at `now`, has this digest."""
        query = (
            sa.select(principals, client_secrets)
            .join(client_secrets)
            .where(
                principals.c.kind == PrincipalKind.CLIENT,
                _is_named(client_id),
                principals.c.is_disabled.is_(False),
                client_secrets.c.digest == digest,
                client_secrets.c.expires_at.is_(None) | (client_secrets.c.expires_at > now),
            )
        )
        row = self._connection.execute(query.with_for_update(of=principals)).first()
        if row is None:
            return None
        is_genuine = all(self._signatures.is_genuine(table, row) for table in (principals, client_secrets))
        return _principal(row) if is_genuine else None


def _principal(row: Row[Any]) -> Principal:
    # An altered row is listed too, so that it can be disabled; an unknown role or scope grants nothing.
    role = Role(row.role) if row.role in _ROLES else None
    scopes = SCOPES_OF[role] if role else known_scopes(row.scopes or "")
    return value_of(Principal, row, kind=PrincipalKind(row.kind), role=role, scopes=scopes)
