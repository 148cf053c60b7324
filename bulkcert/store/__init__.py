"""The store: the only room that knows SQL.

    with store.writing() as tx:
        tx.requests.insert(...)
        tx.events.append(...)

A transaction commits when its block ends, and everything in it or nothing is kept.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from bulkcert.errors import Unavailable
from bulkcert.store import sequences
from bulkcert.store.access import Keys, Throttles
from bulkcert.store.certificates import Certificates
from bulkcert.store.chunks import Chunks
from bulkcert.store.device_keys import DeviceKeys
from bulkcert.store.engine import BUSY_SECONDS, make_engine, transaction
from bulkcert.store.events import Events
from bulkcert.store.items import Items
from bulkcert.store.principals import ClientSecrets, Principals
from bulkcert.store.requests import Requests
from bulkcert.store.tokens import Tokens


class Transaction:
    """One transaction, with the parts of the store that it reaches."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def requests(self) -> Requests:
        """Imports and deletions."""
        return Requests(self._connection)

    @cached_property
    def items(self) -> Items:
        """The items of imports and deletions."""
        return Items(self._connection)

    @cached_property
    def chunks(self) -> Chunks:
        """Work that waits for a worker."""
        return Chunks(self._connection)

    @cached_property
    def certificates(self) -> Certificates:
        """Certificates that are kept."""
        return Certificates(self._connection)

    @cached_property
    def device_keys(self) -> DeviceKeys:
        """Sealed keys, and the owners of public keys."""
        return DeviceKeys(self._connection)

    @cached_property
    def events(self) -> Events:
        """The audit trail."""
        return Events(self._connection)

    @cached_property
    def principals(self) -> Principals:
        """Users and clients."""
        return Principals(self._connection)

    @cached_property
    def client_secrets(self) -> ClientSecrets:
        """Digests of the secrets of clients."""
        return ClientSecrets(self._connection)

    @cached_property
    def tokens(self) -> Tokens:
        """Tokens that were issued."""
        return Tokens(self._connection)

    @cached_property
    def throttles(self) -> Throttles:
        """Failed logins."""
        return Throttles(self._connection)

    @cached_property
    def keys(self) -> Keys:
        """Signing keys and the check of the master key."""
        return Keys(self._connection)

    def draw_ids(self, name: str, number: int) -> range:
        """Draw ids for rows that are not made yet ("certificates", "chunks")."""
        return sequences.draw(self._connection, name, number)


class Store:
    """Everything that is kept, behind one engine."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = make_engine(url)
        # SQLite has one writer: the others queue here, in turn and without holding a connection.
        self._turn = threading.Lock() if self.engine.dialect.name == "sqlite" else None

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Read in one consistent view; never waits for a writer."""
        with transaction(self.engine, writing=False) as connection:
            yield Transaction(connection)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Read and write; commits at the end of the block, or keeps nothing where it raises."""
        with self._my_turn(), transaction(self.engine, writing=True) as connection:
            yield Transaction(connection)

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("The database is busy.")
        try:
            yield
        finally:
            self._turn.release()

    def answers(self) -> bool:
        """Tell whether the database answers a question now; raises `Unavailable` where it cannot."""
        with transaction(self.engine, writing=False) as connection:
            return bool(connection.execute(sa.select(1)).scalar_one() == 1)

    def scrub(self) -> None:
        """Overwrite what deleted rows held, where the engine keeps it in a log of its own.

        SQLite's secure_delete zeroes pages in the database; older copies of them stay in the WAL until it is
        truncated. A reader in the middle of its view, or a full disk, delays that to the next call: what was
        asked for is done and committed by then.
        """
        if self.engine.dialect.name == "sqlite":
            with suppress(sa.exc.TimeoutError, sqlite3.Error):
                connection = self.engine.raw_connection()  # outside any transaction
                try:
                    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    connection.close()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
