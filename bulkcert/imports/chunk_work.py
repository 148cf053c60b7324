"""Open what waits, judge it, and keep it: the work of a worker process, one chunk at a time.

A chunk is opened outside any transaction, and its results, certificates, events and counts are committed in
one that begins by giving up the lease: a worker that was too slow finds it gone and changes nothing.

A chunk whose workers died is tried again, then divided into its entries: what kills its worker is `crashed`.
A chunk that takes long is given back with what is done committed: imports take turns by time (`store/turns`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bulkcert.errors import (
    BrokenSeal,
    Cancelled,
    Contended,
    Crashed,
    ItemRefusal,
    NotStorable,
    StorageFull,
    TooCostly,
    Unavailable,
)
from bulkcert.imports.chunk_commit import ChunkCommit
from bulkcert.imports.chunk_decisions import decide
from bulkcert.imports.chunk_results import Judged, Opened, judge
from bulkcert.imports.intake import CANCELLED
from bulkcert.imports.returned_chunks import Returns
from bulkcert.imports.sealed_entries import Entry, pack, unpack
from bulkcert.store.imports.chunks import Chunk
from bulkcert.store.sql.locks import KEEPING
from bulkcert.store.sql.topics import WORK, request_topic
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.budgets import SLICE_SECONDS, Cost, Meter
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from bulkcert.vault.places import chunk_place
from bulkcert.vault.vault import Vault

MOST_ATTEMPTS_TOGETHER = 3
"""A chunk whose worker died this often is divided into its entries."""

MOST_ATTEMPTS_ALONE = 5
"""An entry whose worker died this often, by itself, fails as `crashed`.

What a file can do ends its opening process, never the worker, so most of these deaths come from outside (a
person, the kernel short of memory), and a few of them must not fail a good file.
"""

_MOST_COMMITS = 10
"""How often a commit is tried that meets others at the same rows (a chain that both keep first, say)."""

_GIVEN_UP = "Working on this file ended without an answer, many times."

log = structlog.get_logger()


class Opener(Protocol):
    """Opens PKCS#12 files under limits (`opening.opener.Opener`)."""

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[OpenedCertificate | ItemRefusal]:
        """Open files of one import (its id) in their order; one answer for each."""
        ...

    def cpu_seconds(self) -> float:
        """Return the processor time that opening has taken since the start, in seconds."""
        ...


@dataclass(frozen=True)
class Claimed:
    """A chunk, and which of its items still wait. refusal: why none of them is to be opened."""

    chunk: Chunk
    waiting: frozenset[int]
    requested_by: str
    refusal: ItemRefusal | None = None


class ChunkWorker:
    """Does the work that imports left in the database."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        opener: Opener,
        now: Callable[[], datetime],
        lease: timedelta,
        worker_id: str | None = None,
        *,
        works_ahead: bool = False,
        limits: Limits | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._vault = vault
        self._opener = opener
        self._now = now
        self._lease = lease
        self._worker_id = worker_id
        self._limits = limits or Limits()
        self._elapsed = elapsed
        self._committing = ThreadPoolExecutor(1, "committing") if works_ahead else None
        self._pending: Future[None] | None = None
        self._next: Claimed | None = None
        self._returns = Returns(store)

    def work_once(self) -> bool:
        """Work on one chunk for one slice of time, and return whether there may be more to do.

        Where it works ahead, a chunk is committed while the next one is opened. The next call raises the
        fault of that commit, after it has handed over its own chunk: a fault is charged to its chunk alone.
        False says that no chunk waits and that all is committed. A call that found no chunk but waited for
        a commit returns True, because that commit may have given its chunk back.
        """
        self._returns.write()
        claimed, self._next = self._next or self._claim(), None
        if claimed is None:
            was_pending = self._pending is not None
            self._settle()
            return was_pending
        with self._returned_if_it_fails(claimed.chunk):
            opened = self._open(claimed)
        try:
            self._settle()
        finally:
            if opened is not None:
                self._hand_over(claimed.chunk, opened)
        return True

    def close(self) -> None:
        """Commit what is opened, and return what is not; raises the fault of the last commit.

        An outage of the database is logged and not raised: the chunk was returned, and nothing is lost.
        """
        try:
            with suppress(Unavailable, StorageFull):
                self._settle()
        finally:
            if self._committing is not None:
                self._committing.shutdown()
            if self._next is not None:
                self._returns.add(self._next.chunk, is_counted=False)
            self._returns.write()

    @contextmanager
    def _returned_if_it_fails(self, chunk: Chunk) -> Iterator[None]:
        """Return a chunk at a fault of its own, so that nobody has to wait for the end of its lease."""
        try:
            yield
        except Exception as fault:
            # An outage is no fault of the files; rows that two writers contend for again and again may be.
            is_outage = isinstance(fault, Unavailable | StorageFull) and not isinstance(fault, Contended)
            log.warning(
                "a chunk was not finished",
                chunk=chunk.id,
                import_id=chunk.request_id,
                attempts=chunk.attempts,
                error=type(fault).__qualname__,
            )
            self._returns.add(chunk, is_counted=not is_outage)
            self._returns.write()
            raise

    def _hand_over(self, chunk: Chunk, opened: Opened) -> None:
        if self._committing is None:
            self._commit_or_return(chunk, opened)
            return
        try:
            with suppress(Unavailable, StorageFull):  # the next call raises it
                # Before the commit: SQLite has one writer, and this would wait for the end of it.
                self._next = self._claim(chunk, opened.cost)
        finally:
            self._pending = self._committing.submit(self._commit_or_return, chunk, opened)

    def _commit_or_return(self, chunk: Chunk, opened: Opened) -> None:
        with self._returned_if_it_fails(chunk):
            self._commit(chunk, opened)

    def _settle(self) -> None:
        """Wait for the commit that runs behind the work, and raise its fault."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _claim(self, held: Chunk | None = None, unpaid: Cost | None = None) -> Claimed | None:
        """Claim what comes first.

        held: the chunk that this worker still has, which is not claimed again when its lease is late.
        unpaid: the cost of that chunk, which is not charged yet.
        """
        with self._store.reading() as tx:  # there may be nothing at all to do, for which no writer need wait
            if not tx.chunks.is_work_waiting(tx.now):
                return None
        with self._store.writing() as tx:
            now = tx.now
            if held is not None:
                tx.chunks.renew(held, now + self._lease)
            chunk = tx.chunks.claim(now, now + self._lease, self._worker_id, unpaid)
            if chunk is None:
                return None
            if tx.requests.start(chunk.request_id, self._now()):
                log.info("import begins", import_id=chunk.request_id, worker_id=self._worker_id)
            waiting = tx.items.waiting_positions(chunk.request_id, chunk.first_position, chunk.last_position)
            account = tx.turns.account(chunk.request_id)
            refusal = Cancelled(CANCELLED) if account.is_cancelled else account.over_budget(self._limits)
            return Claimed(chunk, waiting, account.requested_by, refusal)

    def _open(self, claimed: Claimed) -> Opened | None:
        """Open and judge what waits; None where it was divided, or the lease was lost on the way."""
        chunk, waiting = claimed.chunk, claimed.waiting
        if claimed.refusal is not None:
            return Opened(dict.fromkeys(waiting, claimed.refusal))
        is_alone = len(chunk.positions) == 1
        if is_alone and chunk.attempts > MOST_ATTEMPTS_ALONE:
            return Opened(dict.fromkeys(waiting, Crashed(_GIVEN_UP)))
        try:
            unsealed = unpack(self._vault.open(chunk.sealed_entries, chunk_place(chunk.id)))
        except BrokenSeal as broken:
            log.critical("a chunk does not unseal", chunk=chunk.id, import_id=chunk.request_id)
            return Opened(dict.fromkeys(waiting, Crashed(broken.detail)))
        entries = [entry for entry in unsealed if entry.position in waiting]
        if not is_alone and chunk.attempts > MOST_ATTEMPTS_TOGETHER:
            self._divide(chunk, entries)
            return None
        return self._open_entries(chunk, entries, claimed.requested_by)

    def _open_entries(self, chunk: Chunk, entries: Sequence[Entry], requested_by: str) -> Opened | None:
        """Open and judge entries until their slice of time is over; None where the lease was lost."""
        meter, used, too_costly = Meter(self._opener.cpu_seconds, self._elapsed), 0.0, 0
        opened = self._opener.open_all(
            [(entry.pkcs12, entry.password) for entry in entries], chunk.request_id
        )
        answers: dict[int, Judged | ItemRefusal] = {}
        renew_at = self._now() + self._lease / 3
        for entry, answer in zip(entries, opened, strict=True):
            answers[entry.position] = judge(entry, answer, self._now())
            before, used = used, meter.seconds()
            if isinstance(answer, TooCostly) and used - before > self._limits.import_cpu_seconds_per_file:
                too_costly += 1  # those that are refused by what they ask for cost nothing
            if used + used / len(answers) > SLICE_SECONDS:  # with one more file like those before
                break
            if self._now() > renew_at:
                renew_at = self._now() + self._lease / 3
                if not self._renew(chunk):
                    return None
        rest = frozenset(entry.position for entry in entries) - answers.keys()
        return Opened(answers, rest, Cost(chunk.id, chunk.request_id, requested_by, used, too_costly))

    def _renew(self, chunk: Chunk) -> bool:
        with self._store.writing() as tx:
            now = tx.now
            if self._worker_id is not None:
                tx.workers.see(self._worker_id, now)
            return tx.chunks.renew(chunk, now + self._lease)

    def _divide(self, chunk: Chunk, entries: Sequence[Entry]) -> None:
        """Make a chunk of each entry, so that only the one that kills its worker fails."""
        log.warning("a chunk is divided", chunk=chunk.id, import_id=chunk.request_id, attempts=chunk.attempts)
        with self._store.writing() as tx:
            if not tx.chunks.finish(chunk):
                return
            size = 0
            for chunk_id, entry in zip(tx.draw_ids("chunks", len(entries)), entries, strict=True):
                sealed = self._vault.seal(pack([entry]), chunk_place(chunk_id))
                size += len(sealed)
                position = range(entry.position, entry.position + 1)
                tx.chunks.insert(chunk_id, chunk.request_id, position, chunk.turn, sealed)
            tx.requests.count(chunk.request_id, {}, self._now(), len(chunk.sealed_entries) - size)
            tx.notify(WORK)

    def _commit(self, chunk: Chunk, opened: Opened) -> None:
        try:
            self._store.write(lambda tx: self._keep(tx, chunk, opened), _MOST_COMMITS)
        except NotStorable as refusal:
            if len(chunk.positions) > 1:  # the database does not tell which item it was
                unsealed = unpack(self._vault.open(chunk.sealed_entries, chunk_place(chunk.id)))
                waiting = opened.rest | opened.answers.keys()
                self._divide(chunk, [entry for entry in unsealed if entry.position in waiting])
                return
            if not any(isinstance(answer, Judged) for answer in opened.answers.values()):
                raise
            self._commit(chunk, replace(opened, answers=dict.fromkeys(opened.answers, refusal)))

    def _keep(self, tx: Transaction, chunk: Chunk, opened: Opened) -> None:
        now, answers = self._now(), opened.answers
        tx.lock(KEEPING, shared=True)  # before any row, so that nobody waits in a circle
        # A chunk with a rest stays as it is: who claims it next passes over the items that have a result.
        is_held = tx.chunks.release(chunk, is_counted=False) if opened.rest else tx.chunks.finish(chunk)
        if not is_held:
            return
        request = tx.requests.find(chunk.request_id)
        commit = ChunkCommit(tx, self._vault, request, now)
        # Lock the items before the savepoint: rolling it back releases the locks taken inside it.
        waiting = tx.items.waiting(chunk.request_id, list(answers))
        found = {at: answer.opened for at, answer in answers.items() if isinstance(answer, Judged)}
        with tx.dry_run() if request.validate_only else nullcontext():
            decisions = decide(request, commit.read(waiting, found), answers, now)
            commit.apply(decisions)
        done = commit.finish(decisions, 0 if opened.rest else len(chunk.sealed_entries))
        if self._worker_id is not None:
            tx.workers.see(self._worker_id, tx.now, done)
        tx.notify(request_topic(chunk.request_id))
        if opened.rest:
            tx.notify(WORK)
        if opened.cost is not None:
            tx.turns.charge(opened.cost)
