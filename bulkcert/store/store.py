"""The store: the only room that knows SQL.

    with store.writing() as tx:
        tx.requests.insert(...)
        tx.events.append(...)

A transaction commits when its block ends, and everything in it or nothing is kept.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from bulkcert.errors import Unavailable
from bulkcert.store import sequences
from bulkcert.store.access.principals import ClientSecrets, Principals
from bulkcert.store.access.signatures import RowSigner, Signatures
from bulkcert.store.access.signing_keys import Keys, Throttles
from bulkcert.store.access.tokens import Tokens
from bulkcert.store.certificates.certificates import Certificates
from bulkcert.store.certificates.chains import Chains
from bulkcert.store.certificates.device_keys import DeviceKeys
from bulkcert.store.certificates.devices import Devices
from bulkcert.store.deployments.deployments import Deployments
from bulkcert.store.deployments.planning import Planning
from bulkcert.store.deployments.policies import Policies
from bulkcert.store.events import Events, log_events
from bulkcert.store.imports.chunks import Chunks
from bulkcert.store.imports.idempotency import IdempotencyKeys
from bulkcert.store.imports.items import Items
from bulkcert.store.imports.requests import Requests
from bulkcert.store.imports.turns import Turns
from bulkcert.store.imports.workers import Workers
from bulkcert.store.mdm.commands import MdmCommands
from bulkcert.store.mdm.devices import Mdm
from bulkcert.store.mdm.leases import MdmLeases
from bulkcert.store.sql.engine import BUSY_SECONDS, PoolLimits, make_engine, transaction
from bulkcert.store.sql.locks import lock
from bulkcert.store.sql.notifications import CHANNEL, Listener, Sleep, Watch
from bulkcert.store.traces import Traces, truncate_log, vacuum
from bulkcert.values.events import Event


class Transaction:
    """One transaction, with the parts of the store that it reaches."""

    def __init__(self, connection: Connection, signer: RowSigner | None = None) -> None:
        self._connection = connection
        self._appended: list[Event] = []
        self._signer = signer

    def signed_by(self, signer: RowSigner) -> "Transaction":
        """Return the same transaction, which signs and verifies rows."""
        signing = Transaction(self._connection, signer)
        signing._appended = self._appended
        return signing

    @cached_property
    def signatures(self) -> Signatures:
        """MACs of rows."""
        return Signatures(self._connection, self._signer)

    @property
    def appended(self) -> Sequence[Event]:
        """The events of this transaction that the log tells of when it is committed."""
        return self._appended

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
    def turns(self) -> Turns:
        """Whose import is worked on next."""
        return Turns(self._connection)

    @cached_property
    def workers(self) -> Workers:
        """The processes that work."""
        return Workers(self._connection)

    @cached_property
    def idempotency(self) -> IdempotencyKeys:
        """Keys by which a repeated request is recognised."""
        return IdempotencyKeys(self._connection)

    @cached_property
    def certificates(self) -> Certificates:
        """Certificates that are kept."""
        return Certificates(self._connection)

    @cached_property
    def chains(self) -> Chains:
        """Chains of device certificates."""
        return Chains(self._connection)

    @cached_property
    def device_keys(self) -> DeviceKeys:
        """Sealed keys, and the owners of public keys."""
        return DeviceKeys(self._connection)

    @cached_property
    def devices(self) -> Devices:
        """Whoever has a certificate."""
        return Devices(self._connection)

    @cached_property
    def policies(self) -> Policies:
        """VPN policies."""
        return Policies(self._connection)

    @cached_property
    def deployments(self) -> Deployments:
        """What policies want on devices, and how far it is."""
        return Deployments(self._connection)

    @cached_property
    def mdm(self) -> Mdm:
        """MDM servers and their devices."""
        return Mdm(self._connection, self.signatures)

    @cached_property
    def mdm_commands(self) -> MdmCommands:
        """Commands for devices."""
        return MdmCommands(self._connection)

    @cached_property
    def mdm_leases(self) -> MdmLeases:
        """Deployments in the hands of the built-in deployer."""
        return MdmLeases(self._connection, self.signatures)

    @cached_property
    def planning(self) -> Planning:
        """What makes deployments."""
        return Planning(self._connection)

    @cached_property
    def events(self) -> Events:
        """The audit trail."""
        return Events(self._connection, self._appended)

    @cached_property
    def principals(self) -> Principals:
        """Users and clients."""
        return Principals(self._connection, self.signatures)

    @cached_property
    def client_secrets(self) -> ClientSecrets:
        """Digests of the secrets of clients."""
        return ClientSecrets(self._connection, self.signatures)

    @cached_property
    def tokens(self) -> Tokens:
        """Tokens that were issued."""
        return Tokens(self._connection, self.signatures)

    @cached_property
    def throttles(self) -> Throttles:
        """Failed logins."""
        return Throttles(self._connection)

    @cached_property
    def traces(self) -> Traces:
        """Deleted secrets whose bytes may still be in the database's files."""
        return Traces(self._connection)

    @cached_property
    def keys(self) -> Keys:
        """Signing keys and the check of the master key."""
        return Keys(self._connection)

    def draw_ids(self, name: str, number: int) -> range:
        """Draw ids for rows that are not made yet ("certificates", "chunks")."""
        return sequences.draw(self._connection, name, number)

    def time(self, fallback: Callable[[], datetime]) -> datetime:
        """Tell the time that all machines of this database agree on: aware, in UTC.

        PostgreSQL has a clock of its own; SQLite's is that of this machine, which `fallback` tells.
        """
        if self._connection.dialect.name != "postgresql":
            return fallback()
        now: datetime = self._connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)

    def lock(self, name: str, *, shared: bool = False) -> None:
        """Hold a lock of this name until the transaction ends: among all processes of this database.

        Raises `Unavailable` where another holds it for long. SQLite has one writer at a time anyway.
        """
        lock(self._connection, name, shared=shared)

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Run a block to see what it would do; at its end everything that it wrote is taken back."""
        savepoint = self._connection.begin_nested()
        appended = len(self._appended)
        try:
            yield
        finally:
            savepoint.rollback()
            del self._appended[appended:]

    def notify(self, topic: str) -> None:
        """Wake everybody who watches a topic when this commits; nobody on SQLite, where they look often."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(sa.select(sa.func.pg_notify(CHANNEL, topic)))


class Store:
    """Everything that is kept, behind one engine.

    signer: signs and verifies rows (`store.signatures`); without one those are neither read nor written.
    """

    def __init__(self, url: str, limits: PoolLimits | None = None, signer: RowSigner | None = None) -> None:
        self.engine: Engine = make_engine(url, limits or PoolLimits())
        self._signer = signer
        # SQLite has one writer: the others queue here, in turn and without holding a connection.
        self._turn = threading.Lock() if self.engine.dialect.name == "sqlite" else None
        self._listener = Listener(self.engine) if self.engine.dialect.name == "postgresql" else None

    def signed_by(self, signer: RowSigner) -> "Store":
        """Return the same store, with the same connections, which signs and verifies rows.

        The key that signs is known only once what the store holds is read.
        """
        signing: Store = copy.copy(self)
        signing._signer = signer
        return signing

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Read in one consistent view; never waits for a writer."""
        with transaction(self.engine, writing=False) as connection:
            yield Transaction(connection, self._signer)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Read and write; commits at the end of the block, or keeps nothing where it raises."""
        with self._my_turn(), transaction(self.engine, writing=True) as connection:
            tx = Transaction(connection, self._signer)
            yield tx
        log_events(tx.appended)

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
        """Wait for a topic to be notified, in this process or any other (see `Watch.wait`).

        with store.watch(topic) as watch:
            while not look() and watch.wait(seconds_left()):
                pass
        """
        return nullcontext(Sleep()) if self._listener is None else self._listener.watch(topic)

    def answers(self) -> bool:
        """Tell whether the database answers a question now; raises `Unavailable` where it cannot."""
        with transaction(self.engine, writing=False) as connection:
            return bool(connection.execute(sa.select(1)).scalar_one() == 1)

    def scrub(self) -> None:
        """Try to remove what deleted secrets left in SQLite's files. It waits for nobody.

        What stays, because somebody reads, is a trace that `remove_traces` removes later.
        """
        if self.engine.dialect.name == "sqlite":
            truncate_log(self.engine)

    def remove_traces(self, *, is_idle: bool) -> bool:
        """Remove what deleted secrets left in the database's files; tells whether nothing is left.

        is_idle: whether the caller has time, without which nothing is tried on PostgreSQL: it takes seconds
        where tables are large.
        """
        is_sqlite = self.engine.dialect.name == "sqlite"
        with self.reading() as tx:
            traces = tx.traces.ids()  # what is deleted from now on is for the next time
        if traces:
            if not (is_sqlite or is_idle) or not (truncate_log if is_sqlite else vacuum)(self.engine):
                return False
            with self.writing() as tx:
                tx.traces.forget(traces)
        return True

    def close(self) -> None:
        """Close every connection, and wake whoever waits."""
        if self._listener is not None:
            self._listener.close()
        self.engine.dispose()
