"""Read imports and deletions and their items, as both APIs show them."""

from collections.abc import Iterator

from bulkcert.errors import ReportPruned
from bulkcert.store.store import Store
from bulkcert.values.bulk_requests import BulkRequest, Item, Outcome, RequestKind
from bulkcert.values.pages import Page

_PAGE = 1000


class Reports:
    """Imports and deletions that were accepted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, kind: RequestKind, request_id: str) -> BulkRequest:
        """Return one, or raise `NotFound`."""
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
        """List the items of one in their order. `code`: only those that failed so.

        Raises `NotFound`, and `ReportPruned` where the items are not kept any more.
        """
        with self._store.reading() as tx:
            page = tx.items.page(request_id, outcome, limit, cursor, code)
            # Asked after the items were read: a page that was pruned before would look like the last one.
            _refuse_pruned(tx.requests.find(request_id, kind))
            return page

    def report(
        self, kind: RequestKind, request_id: str, outcome: Outcome | None = None, code: str | None = None
    ) -> Iterator[tuple[Item, ...]]:
        """Walk over all items of one in their order, page by page; raises as `items` does before the first.

        There is one page at least, which may be empty. Each page shows the items as they stand when it is
        read, and no transaction is open between pages: a slow reader holds nobody up. Where the items are
        pruned meanwhile, `ReportPruned` is raised rather than an end.
        """
        _refuse_pruned(self.find(kind, request_id))
        return self._walk(kind, request_id, outcome, code)

    def _walk(
        self, kind: RequestKind, request_id: str, outcome: Outcome | None, code: str | None
    ) -> Iterator[tuple[Item, ...]]:
        cursor: str | None = None
        while True:
            page = self.items(kind, request_id, outcome, _PAGE, cursor, code)
            yield page.items
            if (cursor := page.next_cursor) is None:
                return

    def failures(self, request_id: str, most: int) -> tuple[Item, ...]:
        """List the first items that failed."""
        with self._store.reading() as tx:
            return tx.items.page(request_id, Outcome.FAILED, most, None).items


def _refuse_pruned(request: BulkRequest) -> None:
    if request.report_pruned_at is not None:
        raise ReportPruned("The items are not kept any more; the counts are.")
