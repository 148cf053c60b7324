"""Signed rows: those that grant rights, or decide where keys are sent, count only with a correct MAC.

An attacker who can write to the database cannot compute a MAC. A row is signed in the transaction that
writes it, and verified before a decision relies on it. It is also verified before it is changed, since the
change would otherwise sign an altered row. An old row that is restored as a whole has a correct MAC: nothing
in a row tells its age.
"""

import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import ForgedRows
from bulkcert.store.access.signing_keys import MASTER_KEY_CHECK, Keys
from bulkcert.store.tables.access import client_secrets, principals, tokens
from bulkcert.store.tables.mdm import mdm_identities, mdm_servers

_BATCH = 500
"""Rows that are signed in one transaction."""

SIGNED: Mapping[sa.Table, tuple[str, ...]] = {
    principals: (
        "id", "kind", "login", "login_key", "password_hash", "role", "scopes", "is_disabled",
        "tokens_valid_from", "generation",
    ),
    client_secrets: ("digest", "principal_id", "created_at", "expires_at"),
    tokens: ("id", "principal_id", "scopes", "generation", "issued_at", "expires_at"),
    mdm_servers: ("id", "url", "sealed_api_key", "sealed_webhook_key", "updated_at"),
    mdm_identities: ("identity_type", "identity", "udid", "pinned_at", "contender_udid", "refused_udids"),
}  # fmt: skip
"""The columns that the MAC of a row covers, by table. The others grant nothing."""

log = structlog.get_logger()


class RowSigner(Protocol):
    """Owner of the key of the MACs; the store itself has no key."""

    def mac(self, content: bytes) -> str:
        """Return the MAC of the content of a row: 64 hex digits."""
        ...

    def is_demanded(self, sealed_check: bytes | None) -> bool:
        """Return whether rows without a MAC are refused, by the sealed check of the master key."""
        ...


class Signatures:
    """MACs of rows. signer: None without a vault; signed rows can then be neither read nor written."""

    def __init__(self, connection: Connection, signer: RowSigner | None) -> None:
        self._connection = connection
        self._signer = signer

    def mac(self, table: sa.Table, values: Mapping[str, Any]) -> str:
        """Return the MAC of a row. values: by the names of the columns."""
        parts = [table.name, *(_plain(values[name]) for name in SIGNED[table])]
        return self._known_signer().mac(json.dumps(parts).encode())

    def update(self, table: sa.Table, row: Row[Any], values: Mapping[str, Any]) -> None:
        """Update values of a row that is locked, and sign it."""
        mac = self.mac(table, {**_own(table, row), **values})
        self._connection.execute(
            sa.update(table).where(*_is(table, row)).values({**values, "mac": mac})
        )  # fmt: skip

    def require(self, table: sa.Table, row: Row[Any]) -> None:
        """Raise `ForgedRows` if a row was altered."""
        if not self.is_genuine(table, row):
            raise ForgedRows(f"Not as the service wrote it: {describe(table, row)}.")

    def is_genuine(self, table: sa.Table, row: Row[Any]) -> bool:
        """Return whether a row is unaltered; log an altered one.

        Until MACs are demanded, every row counts as unaltered, because machines of an earlier release change
        rows without signing them.

        row: may contain columns of other tables as well.
        """
        own = _own(table, row)
        if self._fits(table, own):
            return True
        name = describe(table, row)
        if self.are_demanded():
            log.critical("a row was altered by hand", code=ForgedRows.code, row=name)
            return False
        if own["mac"] is not None:
            log.warning("a row was changed by an earlier release, or by hand", code=ForgedRows.code, row=name)
        return True

    def are_demanded(self) -> bool:
        """Return whether rows without a correct MAC are refused."""
        return self._known_signer().is_demanded(Keys(self._connection).check(MASTER_KEY_CHECK))

    def forged(self, now: datetime) -> Iterator[str]:
        """Yield descriptions of altered rows; of tokens, only those that could be valid."""
        for table in SIGNED:
            query = sa.select(table).order_by(*table.primary_key)
            if table is tokens:
                query = query.where(tokens.c.revoked_at.is_(None), tokens.c.expires_at > now)
            for row in self._connection.execute(query.execution_options(yield_per=_BATCH)):
                if not self._fits(table, _own(table, row)):
                    yield describe(table, row)

    def sign_some(self) -> int:
        """Sign a batch of rows without a MAC, as they are, and return their number."""
        for table in SIGNED:
            query = sa.select(table).where(table.c.mac.is_(None)).order_by(*table.primary_key).limit(_BATCH)
            if rows := self._connection.execute(query.with_for_update()).all():
                for row in rows:
                    self.update(table, row, {})
                return len(rows)
        return 0

    def sign_rest(self) -> None:
        """Sign every row with a wrong MAC, as it is."""
        for table in SIGNED:
            rows = self._connection.execute(sa.select(table)).all()
            for row in rows:
                if not self._fits(table, _own(table, row)):
                    query = sa.select(table).where(*_is(table, row)).with_for_update()
                    for locked in self._connection.execute(query):
                        self.update(table, locked, {})

    def _fits(self, table: sa.Table, own: Mapping[str, Any]) -> bool:
        mac = own["mac"]
        return mac is not None and hmac.compare_digest(mac.encode(), self.mac(table, own).encode())

    def _known_signer(self) -> RowSigner:
        assert self._signer is not None, "this store was made without the key that signs rows"
        return self._signer


def describe(table: sa.Table, row: Row[Any]) -> str:
    """Return the kind and id of a row, for people."""
    own = _own(table, row)
    if table is principals:
        return f"{own['kind']} {own['login']} (id {own['id']})"
    if table is client_secrets:
        return f"client secret {own['digest'][:16]} (of id {own['principal_id']})"
    if table is tokens:
        return f"token {own['id']} (of id {own['principal_id']})"
    if table is mdm_servers:
        return f"MDM server {own['id']}"
    return f"pin {own['identity_type']} {own['identity']}"


def _own(table: sa.Table, row: Row[Any]) -> dict[str, Any]:
    """Return the values of one table in a row that may be joined with others."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return {column.name: values[column] for column in table.columns}


def _is(table: sa.Table, row: Row[Any]) -> list[sa.ColumnElement[bool]]:
    own = _own(table, row)
    return [column == own[column.name] for column in table.primary_key]


def _plain(value: object) -> object:
    """Return a value in the form that is the same from both databases."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value.hex() if isinstance(value, bytes) else value
