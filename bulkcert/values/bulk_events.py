"""Events and outcomes of imports and deletions."""

from datetime import datetime

from bulkcert.errors import ItemRefusal
from bulkcert.values.bulk_requests import BulkRequest, Outcome, Result
from bulkcert.values.events import Event, EventType


def failure(refusal: ItemRefusal) -> Result:
    """Make the result of an item that was refused."""
    return Result(Outcome.FAILED, refusal.code, refusal.detail, found=refusal.found)


def import_finished(request: BulkRequest, now: datetime) -> Event:
    """Record the end of an import, with its counts."""
    counts = request.counts
    facts: dict[str, object] = {
        "import_id": request.id,
        "state": request.state,
        "created": counts.created,
        "replaced": counts.replaced,
        "unchanged": counts.unchanged,
        "failed": counts.failed,
    }
    if request.validate_only:
        facts["validate_only"] = True
    return Event(EventType.IMPORT_FINISHED, now, "system", facts)
