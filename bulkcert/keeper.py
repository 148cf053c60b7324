"""Open what waits, judge it, and keep it: the work of a worker process, one chunk at a time.

A chunk is opened outside any transaction, and its results, certificates, events and counts are committed in
one that begins by giving up the lease: a worker that was too slow finds it gone and changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bulkcert.certificates import OpenedCertificate, WarningCode
from bulkcert.entries import Entry, unpack
from bulkcert.errors import BrokenSeal, Crashed, ItemRefusal, Unavailable
from bulkcert.expiry import check_validity
from bulkcert.importer import chunk_place
from bulkcert.keeping import Keeping
from bulkcert.secret import Secret
from bulkcert.store import Store
from bulkcert.store.chunks import Chunk
from bulkcert.vault import Vault

MOST_ATTEMPTS = 25
"""A chunk whose worker died this often is given up: what is left of it fails as `crashed`.

What a file can do ends its opening process, never the worker, so these deaths come from outside (a person,
the kernel short of memory), and a few of them must not fail good files.
"""

_GIVEN_UP = "Working on this file ended without an answer, many times."

log = structlog.get_logger()


class Opener(Protocol):
    """Whoever opens PKCS#12 files under limits (`opening.Opener`)."""

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]]
    ) -> Iterator[OpenedCertificate | ItemRefusal]:  # fmt: skip
        """Open files in their order, one answer for each."""
        ...


@dataclass(frozen=True)
class Judged:
    """An opened certificate, what is odd about it, and why it is not kept where it is not."""

    opened: OpenedCertificate
    warnings: tuple[WarningCode, ...] = ()
    refusal: ItemRefusal | None = None


class Keeper:
    """Does the work that imports left in the database."""

    def __init__(
        self, store: Store, vault: Vault, opener: Opener, now: Callable[[], datetime], lease: timedelta
    ) -> None:
        self._store = store
        self._vault = vault
        self._opener = opener
        self._now = now
        self._lease = lease

    def work_once(self) -> bool:
        """Work on one chunk; False where none is waiting."""
        claimed = self._claim()
        if claimed is None:
            return False
        chunk, waiting = claimed
        try:
            answers = self._open(chunk, waiting)
        except Exception:
            # Whatever it was (no process to open files with, say), nobody need wait for the lease to end.
            with suppress(Unavailable), self._store.writing() as tx:
                tx.chunks.release(chunk)
            raise
        if answers is not None:
            self._commit(chunk, answers)
        return True

    def _claim(self) -> tuple[Chunk, frozenset[int]] | None:
        """Claim a chunk, and tell which of its items still wait: a deletion may have failed some."""
        now = self._now()
        with self._store.reading() as tx:
            if not tx.chunks.is_work_waiting(now):
                return None
        with self._store.writing() as tx:
            chunk = tx.chunks.claim(now, now + self._lease)
            if chunk is None:
                return None
            tx.requests.start(chunk.request_id, now)
            return chunk, tx.items.waiting_positions(
                chunk.request_id, chunk.first_position, chunk.last_position
            )

    def _open(self, chunk: Chunk, waiting: frozenset[int]) -> dict[int, Judged | ItemRefusal] | None:
        """Open and judge what waits; None where the lease was lost on the way."""
        if chunk.attempts > MOST_ATTEMPTS:
            return dict.fromkeys(waiting, Crashed(_GIVEN_UP))
        try:
            unsealed = unpack(self._vault.open(chunk.sealed_entries, chunk_place(chunk.id)))
        except BrokenSeal as broken:
            log.critical("a chunk does not unseal", chunk=chunk.id, import_id=chunk.request_id)
            return dict.fromkeys(waiting, Crashed(broken.detail))
        entries = [entry for entry in unsealed if entry.position in waiting]
        opened = self._opener.open_all([(entry.pkcs12, entry.password) for entry in entries])
        answers: dict[int, Judged | ItemRefusal] = {}
        renew_at = self._now() + self._lease / 3
        for entry, answer in zip(entries, opened, strict=True):
            answers[entry.position] = self._judge(entry, answer)
            if self._now() > renew_at:
                renew_at = self._now() + self._lease / 3
                if not self._renew(chunk):
                    return None
        return answers

    def _renew(self, chunk: Chunk) -> bool:
        with self._store.writing() as tx:
            return tx.chunks.renew(chunk, self._now() + self._lease)

    def _judge(self, entry: Entry, answer: OpenedCertificate | ItemRefusal) -> Judged | ItemRefusal:
        """Check what the opener does not: the dates, which need a clock, and what deserves a warning."""
        if isinstance(answer, ItemRefusal):
            return answer
        try:
            warnings = list(check_validity(answer.leaf.facts, self._now()))
        except ItemRefusal as refusal:
            return Judged(answer, refusal=refusal)
        if not answer.allows_client_auth:
            warnings.append(WarningCode.NO_CLIENT_AUTH)
        if not answer.chain_is_complete:
            warnings.append(WarningCode.INCOMPLETE_CHAIN)
        if entry.password.reveal()[-1:].isspace():
            warnings.append(WarningCode.PASSWORD_ENDS_IN_SPACE)
        return Judged(answer, tuple(warnings))

    def _commit(self, chunk: Chunk, answers: dict[int, Judged | ItemRefusal]) -> None:
        now = self._now()
        with self._store.writing() as tx:
            if not tx.chunks.finish(chunk):
                return
            keeping = Keeping(tx, self._vault, tx.requests.find(chunk.request_id), now)
            keeping.load(
                tx.items.waiting(chunk.request_id, list(answers)),
                {at: answer.opened for at, answer in answers.items() if isinstance(answer, Judged)},
            )
            for position, answer in sorted(answers.items()):
                if isinstance(answer, Judged):
                    keeping.keep(position, answer.opened, answer.warnings, answer.refusal)
                else:
                    keeping.fail(position, answer)
            keeping.finish()
