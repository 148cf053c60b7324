"""The store: the only package that contains SQL.

    with store.writing() as tx:
        tx.requests.insert(...)
        tx.events.append(...)

A transaction commits at the end of its block, with everything in it, or is rolled back if the block raises.
"""

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from bulkcert.errors import Contended, Unavailable
from bulkcert.store.access.signatures import RowSigner
from bulkcert.store.clock import Clock
from bulkcert.store.events import log_events
from bulkcert.store.sql.engine import BUSY_SECONDS, PoolLimits, make_engine, transaction
from bulkcert.store.sql.notifications import Listener, Sleep, Watch
from bulkcert.store.traces import truncate_log, vacuum
from bulkcert.store.transaction import Transaction

T = TypeVar("T")


class Store:
    """The database of an installation.

    signer: signs and verifies rows (`access.signatures`); without one, they are neither read nor written.
    now: the clock of `Transaction.now`; without one it is PostgreSQL's, or on SQLite this machine's.
    """

    def __init__(
        self,
        url: str,
        limits: PoolLimits | None = None,
        signer: RowSigner | None = None,
        now: Clock | None = None,
    ) -> None:
        self.engine: Engine = make_engine(url, limits or PoolLimits())
        self._signer = signer
        self._now = now
        # SQLite has one writer: the others queue here, without occupying a connection.
        self._turn = threading.Lock() if self.engine.dialect.name == "sqlite" else None
        self._listener = Listener(self.engine) if self.engine.dialect.name == "postgresql" else None

    def signed_by(self, signer: RowSigner) -> "Store":
        """Return a store with the same connections that signs and verifies rows.

        The signing key is known only after the store was read.
        """
        signing: Store = copy.copy(self)
        signing._signer = signer
        return signing

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Yield a transaction that reads one consistent view; it never waits for a writer."""
        with transaction(self.engine, writing=False) as connection:
            yield Transaction(connection, self._signer, self._now)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Yield a transaction that writes; commit at the end of the block, or roll back if that raises."""
        with self._my_turn(), transaction(self.engine, writing=True) as connection:
            tx = Transaction(connection, self._signer, self._now)
            yield tx
        log_events(tx.appended)

    def write(self, act: Callable[[Transaction], T], attempts: int) -> T:
        """Return what `act` returns in a transaction that writes; try again where others wrote the same rows.

        attempts: at most, from 1. Raises `Contended` where the last of them met others too.
        """
        for _ in range(attempts - 1):
            with suppress(Contended), self.writing() as tx:
                return act(tx)
        with self.writing() as tx:
            return act(tx)

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

    def watch(self, topic: str) -> AbstractContextManager[Watch]:
        """Watch a topic for notifications of this process or any other (see `Watch.wait`).

        with store.watch(topic) as watch:
            while not look() and watch.wait(seconds_left()):
                pass
        """
        return nullcontext(Sleep()) if self._listener is None else self._listener.watch(topic)

    def answers(self) -> bool:
        """Return whether the database answers a query, or raise `Unavailable`."""
        with transaction(self.engine, writing=False) as connection:
            return bool(connection.execute(sa.select(1)).scalar_one() == 1)

    def scrub(self) -> None:
        """Try to remove the remains of deleted secrets from SQLite's files, without waiting.

        Remains that an open reader needs stay as traces, which `remove_traces` removes later.
        """
        if self.engine.dialect.name == "sqlite":
            truncate_log(self.engine)

    def remove_traces(self, *, is_idle: bool) -> bool:
        """Remove the remains of deleted secrets from the database's files; return whether none are left.

        is_idle: whether the caller has time. Without it PostgreSQL is skipped, because that takes seconds
        for large tables.
        """
        is_sqlite = self.engine.dialect.name == "sqlite"
        with self.reading() as tx:
            traces = tx.traces.ids()  # later deletions are left to the next call
        if traces:
            if not (is_sqlite or is_idle) or not (truncate_log if is_sqlite else vacuum)(self.engine):
                return False
            with self.writing() as tx:
                tx.traces.forget(traces)
        return True

    def close(self) -> None:
        """Close every connection, and wake every waiter."""
        if self._listener is not None:
            self._listener.close()
        self.engine.dispose()
