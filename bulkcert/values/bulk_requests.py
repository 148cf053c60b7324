"""One line and one outcome per device: imports and deletions share these values.

The counting rule (docs/architecture.md#counting): total = items + ignored, and once a request is done
total = created + replaced + unchanged + deleted + not_found + failed + ignored.
"""

import enum
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bulkcert.errors.file_kinds import FileKind
from bulkcert.values.certificates import WarningCode
from bulkcert.values.identities import IdentityType


class RequestKind(enum.StrEnum):
    """The two bulk requests."""

    IMPORT = "import"
    DELETION = "deletion"


class RequestState(enum.StrEnum):
    """Where a bulk request stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """Return whether nothing of the request is left to do."""
        return self not in {RequestState.PENDING, RequestState.RUNNING}


class Outcome(enum.StrEnum):
    """What happened to one item."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    NOT_FOUND = "not_found"
    FAILED = "failed"


class OnConflict(enum.StrEnum):
    """What an import does with a device that has another certificate already."""

    REPLACE = "replace"
    KEEP = "keep"


@dataclass(frozen=True)
class Counts:
    """How many items of a bulk request came to which outcome. `done` counts items that have one."""

    total: int
    done: int = 0
    created: int = 0
    replaced: int = 0
    unchanged: int = 0
    deleted: int = 0
    not_found: int = 0
    failed: int = 0
    ignored: int = 0

    def state(self) -> RequestState:
        """Return the state that these counts mean for a request that has begun."""
        items = self.total - self.ignored
        if self.done < items:
            return RequestState.RUNNING
        if self.failed == items and items:
            return RequestState.FAILED
        return RequestState.PARTIALLY_SUCCEEDED if self.failed else RequestState.SUCCEEDED


@dataclass(frozen=True)
class BulkRequest:
    """An import or a deletion, as people see it. identity_type is None where a deletion spans all types."""

    id: str
    kind: RequestKind
    identity_type: IdentityType | None
    state: RequestState
    counts: Counts
    on_conflict: OnConflict | None
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    validate_only: bool = False
    report_pruned_at: datetime | None = None

    def items_per_second(self, now: datetime) -> float | None:
        """How fast items got their results since the first chunk was claimed; None where none has one."""
        if self.started_at is None or not self.counts.done:
            return None
        seconds = ((self.finished_at or now) - self.started_at).total_seconds()
        return self.counts.done / seconds if seconds > 0 else None

    def estimated_finish(self, now: datetime) -> datetime | None:
        """When the last item will have its result if the rest goes on as fast; None where nobody can say."""
        rate = self.items_per_second(now)
        if self.state.is_finished or rate is None:
            return None
        left = self.counts.total - self.counts.ignored - self.counts.done
        try:
            return now + timedelta(seconds=left / rate)
        except OverflowError:  # beyond the year 9999
            return None


@dataclass(frozen=True)
class ImportOrder:
    """What an upload asks for besides its bytes.

    credentials_file: its name in the zip; None is the only `.txt`. validate_only: say what would happen, and
    keep nothing.
    """

    identity_type: IdentityType
    credentials_file: str | None = None
    on_conflict: OnConflict = OnConflict.REPLACE
    validate_only: bool = False


@dataclass(frozen=True)
class Result:
    """How one item ended. certificate_id is that of the certificate now kept (or found unchanged).

    found: the kind of a file that is no PKCS#12.
    """

    outcome: Outcome
    code: str | None = None
    detail: str | None = None
    warnings: tuple[WarningCode, ...] = ()
    certificate_id: int | None = None
    fingerprint_sha256: str | None = None
    found: FileKind | None = None


@dataclass(frozen=True)
class Item:
    """One device in a bulk request. `result` is None until its turn has come.

    file: the entry's name as it stands in the zip (None for a line without an entry, or a deletion).
    identity: in normal form, or as it was written where it is not valid. line: number of its line in the
    credentials file, from 1; None where there is none.
    """

    position: int
    file: str | None
    identity: str | None
    result: Result | None = None
    line: int | None = None


def count(results: Iterable[Result | None], ignored: int) -> Counts:
    """Count the items of a whole request; `ignored` entries come on top of them."""
    tally = dict.fromkeys(Outcome, 0)
    items = 0
    for result in results:
        items += 1
        if result is not None:
            tally[result.outcome] += 1
    return Counts(
        total=items + ignored,
        done=sum(tally.values()),
        ignored=ignored,
        **{str(outcome): number for outcome, number in tally.items()},
    )


def new_request_id(now: datetime) -> str:
    """Make an id that sorts by time (UUID version 7, RFC 9562 §5.7), so that pages need no other order."""
    milliseconds = int(now.timestamp() * 1000)
    value = (milliseconds << 80) | (uuid.uuid4().int & (1 << 80) - 1)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=value))
