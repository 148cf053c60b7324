"""Workers: the processes that do the work of imports, on whichever machine they run."""

import enum
from dataclasses import dataclass
from datetime import datetime


class WorkerState(enum.StrEnum):
    """Where a worker stands. `left`: it ended as it was asked to; `lost`: it fell silent."""

    RUNNING = "running"
    LEFT = "left"
    LOST = "lost"


@dataclass(frozen=True)
class Worker:
    """One worker process. items_done: devices that got their result from it."""

    id: str
    host: str
    process_id: int
    version: str
    state: WorkerState
    started_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None
    items_done: int
