"""Accept an import: check the whole bundle, and keep it as work in one transaction.

Nothing of a bundle is opened here. What is accepted waits in the database, sealed, for the chunk
worker (`chunk_work.py`) in a worker process; both APIs wait for the end on `wait`.
"""

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from bulkcert.capacity.bundle_checks import BundleChecks
from bulkcert.errors import AlreadyFinished, Cancelled, TooManyRequests, Unauthenticated
from bulkcert.formats.bundle.bundle import Bundle, BundleItem, read_bundle
from bulkcert.imports.bundle_entries import Read, read_portions
from bulkcert.imports.sealed_entries import pack
from bulkcert.store.sql.topics import WORK, request_topic
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_events import failure, import_finished
from bulkcert.values.bulk_requests import (
    BulkRequest,
    Counts,
    ImportOrder,
    Item,
    RequestKind,
    RequestState,
    Result,
    new_request_id,
)
from bulkcert.values.events import Event, EventType
from bulkcert.values.idempotency import IdempotencyKey
from bulkcert.values.limits import Limits
from bulkcert.values.principals import Caller
from bulkcert.vault.places import chunk_place
from bulkcert.vault.vault import Vault

LEAST_IN_CHUNK, MOST_IN_CHUNK = 50, 200
"""A chunk is committed as a whole: large enough to make the commit cheap, small enough to show progress."""

_CHUNKS = 20
"""In as many a bundle is divided, within those sizes: several machines find work, and progress is seen."""


_LOOK_SECONDS = 1.0
"""The longest time between two looks at an import that is waited for; a notice wakes earlier."""

_RETRY_SECONDS = 5

CANCELLED = "The import was cancelled before this device's turn came."


@dataclass(frozen=True)
class _ImportRequest:
    """An order, whose it is, and how it is recognised when it comes again.

    digest: joins an unfinished import of the same bundle. key: gives what the key was first answered with.
    """

    order: ImportOrder
    caller: Caller
    digest: str | None = None
    key: IdempotencyKey | None = None


@dataclass(frozen=True)
class _Portion:
    """Some items of a bundle on their way into a chunk. sealed_bytes: what they take in the spool."""

    chunk_id: int
    bundled: Sequence[BundleItem]
    failed: dict[int, Result]
    sealed_bytes: int

    @property
    def positions(self) -> range:
        return range(self.bundled[0].position, self.bundled[-1].position + 1)

    def items(self) -> Iterator[Item]:
        for item in self.bundled:
            identity = item.identity.value if item.identity else item.written
            yield Item(item.position, item.file, identity, self.failed.get(item.position), item.line)


class ImportIntake:
    """Takes bundles in. new_spool makes a place for a login's sealed entries that are not kept yet."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        limits: Limits,
        now: Callable[[], datetime],
        is_stopping: Callable[[], bool] = lambda: False,
        new_spool: Callable[[str], BinaryIO] = lambda _owner: io.BytesIO(),
        checks: BundleChecks | None = None,
    ) -> None:
        self._store = store
        self._vault = vault
        self._limits = limits
        self._now = now
        self._is_stopping = is_stopping
        self._new_spool = new_spool
        self._checks = checks or BundleChecks()

    def accept(
        self, bundle: BinaryIO, order: ImportOrder, caller: Caller, idempotency_key: str | None = None
    ) -> BulkRequest:
        """Check a bundle (a seekable file) and keep it as work; everything of it, or nothing.

        idempotency_key: of the form that `idempotency.check_key` says. The same one with the same bundle and
        order gives the import that it was accepted as, however that stands by now.
        Raises a `RequestRefusal` where the bundle cannot be used as a whole, `IdempotencyKeyReused`, and
        `TooManyRequests` where the caller, or everybody, has too much work waiting already.
        """
        if idempotency_key is None:
            return self._accept(bundle, _ImportRequest(order, caller))
        digest = self._digest(bundle, order, caller)
        key = IdempotencyKey(caller.principal_id, "imports", idempotency_key, digest)
        with self._store.reading() as tx:
            if (known := tx.idempotency.find(key, self._now())) is not None:
                return tx.requests.find(known)
        return self._accept(bundle, _ImportRequest(order, caller, key=key))

    def join_or_accept(self, bundle: BinaryIO, order: ImportOrder, caller: Caller) -> BulkRequest:
        """Find this caller's unfinished import of the same bundle, or accept it as a new one."""
        digest = self._digest(bundle, order, caller)
        with self._store.reading() as tx:
            running = tx.requests.find_active(digest)
        return running or self._accept(bundle, _ImportRequest(order, caller, digest=digest))

    def wait(self, request_id: str, seconds: float) -> BulkRequest:
        """Return an import when it is finished, or as it stands when time is over or the service stops."""
        end = time.monotonic() + seconds
        with self._store.watch(request_topic(request_id)) as watch:
            while True:
                with self._store.reading() as tx:
                    request = tx.requests.find(request_id)
                left = end - time.monotonic()
                if request.state.is_finished or left <= 0 or self._is_stopping():
                    return request
                watch.wait(min(_LOOK_SECONDS, left))

    def cancel(self, import_id: str, caller: Caller) -> BulkRequest:
        """Stop what no worker has begun: those items fail as `cancelled`.

        What is in a worker's hands is finished as usual; then the import ends as cancelled. One that is
        cancelled already is returned as it stands. Raises `NotFound`, or `AlreadyFinished`.
        """
        with self._store.writing() as tx:
            request = tx.requests.find(import_id, RequestKind.IMPORT)
            if request.state is RequestState.CANCELLED:
                return request
            if request.state.is_finished:
                raise AlreadyFinished("The import has ended already.")
            self._stop(tx, request, caller)
            request = tx.requests.find(import_id)
        self._store.scrub()
        return request

    def _stop(self, tx: Transaction, request: BulkRequest, caller: Caller) -> None:
        now = self._now()
        withdrawn_bytes, in_hand = tx.chunks.withdraw(request.id, tx.now)
        stopped = tx.items.cancel_waiting(request.id, in_hand, Cancelled.code, CANCELLED)
        if not stopped:
            return
        tx.requests.cancel(request.id)
        facts = {"import_id": request.id, "stopped": stopped}
        tx.events.append(Event(EventType.IMPORT_CANCELLED, now, caller.login, facts))
        finished = tx.requests.count(request.id, {"done": stopped, "failed": stopped}, now, withdrawn_bytes)
        if finished is not None:
            tx.events.append(import_finished(finished, now))
        tx.notify(request_topic(request.id))

    def _accept(self, file: BinaryIO, demand: _ImportRequest) -> BulkRequest:
        with self._store.reading() as tx:
            self._check_load(tx, demand.caller)
        with self._checks.hold(demand.caller):
            return self._check_and_accept(file, demand)

    def _check_and_accept(self, file: BinaryIO, demand: _ImportRequest) -> BulkRequest:
        order = demand.order
        bundle = read_bundle(file, order.identity_type, order.credentials_file, self._limits)
        now = self._now()
        request = _new_request(demand, bundle, now)
        with self._new_spool(demand.caller.login) as spool:
            work = self._prepare(bundle, spool, demand.caller.login)
            spool.seek(0)
            with self._store.writing() as tx:
                if tx.principals.is_disabled(demand.caller.principal_id):
                    raise Unauthenticated("The account was disabled meanwhile.")
                # Looked up again where nobody else can write: the same may have come twice at once.
                if (known := _find_known(tx, demand, now)) is not None:
                    return known
                self._check_load(tx, demand.caller)
                tx.requests.insert(request, demand.digest, sum(portion.sealed_bytes for portion in work))
                if demand.key is not None:
                    tx.idempotency.keep(demand.key, request.id, now)
                return self._keep(tx, request, work, spool) or request

    def _check_load(self, tx: Transaction, caller: Caller) -> None:
        """Refuse more work than the workers may have before them: of one caller, or of all.

        Several that come at once may each be counted without the others: the limit need not be exact.
        """
        own, every, limits = tx.requests.load(caller.login), tx.requests.load(), self._limits
        if own.imports >= limits.waiting_imports or own.bytes >= limits.waiting_bytes:
            raise TooManyRequests("Too many of your imports are unfinished.", _RETRY_SECONDS)
        if every.bytes >= limits.waiting_bytes_of_all:
            raise TooManyRequests("Too much work is waiting for the workers.", _RETRY_SECONDS)

    def _prepare(self, bundle: Bundle, spool: BinaryIO, owner: str) -> list[_Portion]:
        """Read and seal every entry, outside any transaction: the database is not kept waiting for a zip."""
        portions = list(_portions(bundle.items))
        with self._store.writing() as tx:
            chunk_ids = tx.draw_ids("chunks", len(portions))
        read = read_portions(bundle, portions, lambda: self._new_spool(owner))
        return [
            self._prepare_portion(some, chunk_id, found, spool)
            for some, chunk_id, found in zip(portions, chunk_ids, read, strict=True)
        ]

    def _prepare_portion(
        self, some: Sequence[BundleItem], chunk_id: int, found: Read, spool: BinaryIO
    ) -> _Portion:  # fmt: skip
        entries, refused = found
        failed = {position: failure(refusal) for position, refusal in refused.items()}
        sealed_bytes = 0
        if entries:
            sealed_bytes = spool.write(self._vault.seal(pack(entries), chunk_place(chunk_id)))
        return _Portion(chunk_id, some, failed, sealed_bytes)

    def _keep(
        self, tx: Transaction, request: BulkRequest, work: list[_Portion], spool: BinaryIO
    ) -> BulkRequest | None:
        """Keep items, chunks and events; returns the request where it is finished already."""
        now = request.created_at
        counts = request.counts
        facts: dict[str, object] = {"import_id": request.id, "total": counts.total}
        facts["ignored"] = counts.ignored
        if request.validate_only:
            facts["validate_only"] = True
        tx.events.append(Event(EventType.IMPORT_ACCEPTED, now, request.requested_by, facts))
        for turn, portion in enumerate(work, tx.chunks.next_turn()):
            tx.items.insert(request.id, portion.items())
            if portion.sealed_bytes:
                sealed = spool.read(portion.sealed_bytes)
                tx.chunks.insert(portion.chunk_id, request.id, portion.positions, turn, sealed)
        tx.notify(WORK)
        failed = sum(len(portion.failed) for portion in work)
        finished = tx.requests.count(request.id, {"done": failed, "failed": failed}, now)
        if finished is not None:
            tx.events.append(import_finished(finished, now))
        else:
            tx.turns.join(request.id, request.requested_by)  # last: workers wait for the principal's row
        return finished

    def _digest(self, bundle: BinaryIO, order: ImportOrder, caller: Caller) -> str:
        """Recognise a bundle that is sent again. Keyed: a bundle holds passwords that could be guessed."""
        bundle.seek(0)
        content = hashlib.sha256()
        while block := bundle.read(1 << 20):
            content.update(block)
        words = (
            order.identity_type,
            order.credentials_file or "",
            order.on_conflict,
            str(order.validate_only),
            str(caller.principal_id),
        )
        return self._vault.digest(content.digest() + "\x00".join(words).encode(), "bundle")


def _find_known(tx: Transaction, demand: _ImportRequest, now: datetime) -> BulkRequest | None:
    if demand.digest is not None:
        tx.lock(f"bundle {demand.digest}")
        return tx.requests.find_active(demand.digest)
    if demand.key is not None:
        tx.lock(demand.key.lock)
        known = tx.idempotency.find(demand.key, now)
        return None if known is None else tx.requests.find(known)
    return None


def _new_request(demand: _ImportRequest, bundle: Bundle, now: datetime) -> BulkRequest:
    return BulkRequest(
        id=new_request_id(now),
        kind=RequestKind.IMPORT,
        identity_type=demand.order.identity_type,
        state=RequestState.PENDING,
        counts=Counts(total=len(bundle.items) + bundle.ignored, ignored=bundle.ignored),
        on_conflict=demand.order.on_conflict,
        requested_by=demand.caller.login,
        created_at=now,
        started_at=None,
        finished_at=None,
        validate_only=demand.order.validate_only,
    )


def _portions(items: Sequence[BundleItem]) -> Iterator[Sequence[BundleItem]]:
    size = min(MOST_IN_CHUNK, max(LEAST_IN_CHUNK, len(items) // _CHUNKS))
    for start in range(0, len(items), size):
        yield items[start : start + size]
