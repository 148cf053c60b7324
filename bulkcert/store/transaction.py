"""Transactions, and the tables that they reach."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store import sequences
from bulkcert.store.access.principals import ClientSecrets, Principals
from bulkcert.store.access.signatures import RowSigner, Signatures
from bulkcert.store.access.signing_keys import Keys
from bulkcert.store.access.throttles import Throttles
from bulkcert.store.access.tokens import Tokens
from bulkcert.store.certificates.certificates import Certificates
from bulkcert.store.certificates.chains import Chains
from bulkcert.store.certificates.device_keys import DeviceKeys
from bulkcert.store.certificates.devices import Devices
from bulkcert.store.clock import Clock, utc_now
from bulkcert.store.deployments.deployments import Deployments
from bulkcert.store.deployments.planning import Planning
from bulkcert.store.deployments.policies import Policies
from bulkcert.store.events import Events
from bulkcert.store.imports.chunks import Chunks
from bulkcert.store.imports.idempotency import IdempotencyKeys
from bulkcert.store.imports.items import Items
from bulkcert.store.imports.requests import Requests
from bulkcert.store.imports.turns import Turns
from bulkcert.store.imports.workers import Workers
from bulkcert.store.mdm.commands import MdmCommands
from bulkcert.store.mdm.devices import Mdm
from bulkcert.store.mdm.leases import MdmLeases
from bulkcert.store.sql.locks import lock
from bulkcert.store.sql.notifications import CHANNEL
from bulkcert.store.traces import Traces
from bulkcert.values.events import Event


class Transaction:
    """A transaction, with the tables that it reaches."""

    def __init__(
        self, connection: Connection, signer: RowSigner | None = None, clock: Clock | None = None
    ) -> None:
        self._connection = connection
        self._appended: list[Event] = []
        self._signer = signer
        self._clock = clock

    def signed_by(self, signer: RowSigner) -> "Transaction":
        """Return the same transaction with a signer of rows."""
        signing = Transaction(self._connection, signer, self._clock)
        signing._appended = self._appended
        return signing

    @cached_property
    def signatures(self) -> Signatures:
        """MACs of rows."""
        return Signatures(self._connection, self._signer)

    @property
    def appended(self) -> Sequence[Event]:
        """The events of this transaction to be logged after the commit."""
        return self._appended

    @cached_property
    def requests(self) -> Requests:
        """Imports and deletions."""
        return Requests(self._connection)

    @cached_property
    def items(self) -> Items:
        """Items of imports and deletions."""
        return Items(self._connection)

    @cached_property
    def chunks(self) -> Chunks:
        """Work for workers."""
        return Chunks(self._connection)

    @cached_property
    def turns(self) -> Turns:
        """The order of imports."""
        return Turns(self._connection)

    @cached_property
    def workers(self) -> Workers:
        """Worker processes."""
        return Workers(self._connection)

    @cached_property
    def idempotency(self) -> IdempotencyKeys:
        """Keys that identify repeated requests."""
        return IdempotencyKeys(self._connection)

    @cached_property
    def certificates(self) -> Certificates:
        """Certificates of devices and of their chains."""
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
        """Devices with certificates."""
        return Devices(self._connection)

    @cached_property
    def policies(self) -> Policies:
        """VPN policies."""
        return Policies(self._connection)

    @cached_property
    def deployments(self) -> Deployments:
        """Deployments of certificates by policies, and their states."""
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
        """Deployments leased by the built-in deployer."""
        return MdmLeases(self._connection, self.signatures)

    @cached_property
    def planning(self) -> Planning:
        """Planning of deployments."""
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
        """Issued tokens."""
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
        """Return ids for new rows of a table ("certificates", "chunks")."""
        return sequences.draw(self._connection, name, number)

    @cached_property
    def now(self) -> datetime:
        """The time of this transaction, aware and in UTC, read once when it is first asked for.

        It is the time of the store's clock. Without one it is PostgreSQL's, on which all machines of a
        database agree; SQLite has none, so there it is the time of this machine.
        """
        if self._clock is not None:
            return self._clock()
        if self._connection.dialect.name != "postgresql":
            return utc_now()
        now: datetime = self._connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)

    def lock(self, name: str, *, shared: bool = False) -> None:
        """Lock a name until the transaction ends, among all processes of this database.

        Raises `Unavailable` if another transaction keeps the lock for long. SQLite has one writer anyway.
        """
        lock(self._connection, name, shared=shared)

    @contextmanager
    def dry_run(self) -> Iterator[None]:
        """Run a block in a savepoint, which is rolled back at its end."""
        savepoint = self._connection.begin_nested()
        appended = len(self._appended)
        try:
            yield
        finally:
            savepoint.rollback()
            del self._appended[appended:]

    def notify(self, topic: str) -> None:
        """Wake every watcher of a topic after the commit; not needed on SQLite, where watchers poll."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(sa.select(sa.func.pg_notify(CHANNEL, topic)))
