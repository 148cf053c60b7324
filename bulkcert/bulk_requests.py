"""Read imports and deletions and their items, as both doors show them."""

from bulkcert.reports import BulkRequest, Item, Outcome, Page, RequestKind
from bulkcert.store import Store


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
        self, kind: RequestKind, request_id: str, outcome: Outcome | None, limit: int, cursor: str | None
    ) -> Page[Item]:
        """List the items of one in their order, or raise `NotFound`."""
        with self._store.reading() as tx:
            tx.requests.find(request_id, kind)
            return tx.items.page(request_id, outcome, limit, cursor)

    def failures(self, request_id: str, most: int) -> tuple[Item, ...]:
        """List the first items that failed."""
        with self._store.reading() as tx:
            return tx.items.page(request_id, Outcome.FAILED, most, None).items
