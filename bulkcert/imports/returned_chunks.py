"""Chunks that a worker returns before their leases end."""

from contextlib import suppress
from threading import Lock

from bulkcert.errors import StorageFull, Unavailable
from bulkcert.store.imports.chunks import Chunk
from bulkcert.store.store import Store


class Returns:
    """Chunks to be returned before their leases end. One that an outage prevents is tried again later.

    Without that, the next claim would count the outage as an attempt of the chunk's files.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()  # the thread that commits returns chunks too
        self._chunks: list[tuple[Chunk, bool]] = []

    def add(self, chunk: Chunk, *, is_counted: bool) -> None:
        """Add a chunk. is_counted: as an attempt of its files."""
        with self._lock:
            self._chunks.append((chunk, is_counted))

    def write(self) -> None:
        """Return the chunks, unless the database cannot be written now; tokens fence lost leases."""
        with self._lock:
            if not self._chunks:
                return
            with suppress(Unavailable, StorageFull):
                with self._store.writing() as tx:
                    for chunk, is_counted in self._chunks:
                        tx.chunks.release(chunk, is_counted=is_counted)
                self._chunks.clear()
