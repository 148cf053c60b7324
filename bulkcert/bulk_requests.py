"""Read imports and deletions and their items, as both doors show them."""

from collections.abc import Iterator

from bulkcert.reports import BulkRequest, Item, Outcome, Page, RequestKind
from bulkcert.store import Store

_PAGE = 1000


class BulkRequests:
    """Imports and deletions that were accepted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, kind: RequestKind, request_id: str) -> BulkRequest:
        """Look one up, or raise `NotFound`."""
        with self._store.reading() as tx:
            return tx.requests.find(request_id, kind)

    def page(self, kind: RequestKind, limit: int, cursor: str | None) -> Page[BulkRequest]:
        """List those of a kind, the newest first."""
        with self._store.reading() as tx:
            return tx.requests.page(kind, limit, cursor)

    def items(
        self,
        kind: RequestKind,
        request_id: str,
        outcome: Outcome | None,
        limit: int,
        cursor: str | None,
        code: str | None = None,
    ) -> Page[Item]:
        """List the items of one in their order, or raise `NotFound`. `code`: only those that failed so."""
        with self._store.reading() as tx:
            tx.requests.find(request_id, kind)
            return tx.items.page(request_id, outcome, limit, cursor, code)

    def report(
        self, kind: RequestKind, request_id: str, outcome: Outcome | None = None, code: str | None = None
    ) -> Iterator[tuple[Item, ...]]:
        """Walk over all items of one in their order, page by page; raises `NotFound` before the first.

        There is one page at least, which may be empty. Each page shows the items as they stand when it is
        read, and no transaction is open between pages: a slow reader holds nobody up.
        """
        self.find(kind, request_id)
        return self._walk(request_id, outcome, code)

    def _walk(self, request_id: str, outcome: Outcome | None, code: str | None) -> Iterator[tuple[Item, ...]]:
        cursor: str | None = None
        while True:
            with self._store.reading() as tx:
                page = tx.items.page(request_id, outcome, _PAGE, cursor, code)
            yield page.items
            if (cursor := page.next_cursor) is None:
                return

    def failures(self, request_id: str, most: int) -> tuple[Item, ...]:
        """List the first items that failed."""
        with self._store.reading() as tx:
            return tx.items.page(request_id, Outcome.FAILED, most, None).items
