"""What a worker process is made of."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta

from bulkcert.config import Config
from bulkcert.errors import StorageFull, Unavailable
from bulkcert.imports.chunk_work import ChunkWorker
from bulkcert.imports.worker_registry import WorkerRegistry
from bulkcert.opening.opener import Opener
from bulkcert.store.clock import Clock, utc_now
from bulkcert.store.retention import Retention
from bulkcert.store.sql.notifications import Watch
from bulkcert.store.sql.topics import WORK
from bulkcert.store.store import Store
from bulkcert.wiring.installation import open_installation
from bulkcert.wiring.proofs import fill_login_keys


@dataclass(frozen=True)
class Work:
    """What a worker process does, over and over."""

    worker_id: str
    chunk_worker: ChunkWorker
    registry: WorkerRegistry
    retention: Retention
    opener: Opener
    store: Store
    watching: ExitStack
    watch: Watch

    def work_once(self) -> bool:
        """Do one chunk of work; False where there is none."""
        self.registry.beat(self.worker_id)
        self.retention.scrub_if_due(is_idle=False)
        if self.chunk_worker.work_once():
            return True
        self.retention.scrub_if_due(is_idle=True)
        self.retention.do_if_due()
        return False

    def rest(self, seconds: float) -> None:
        """Do nothing for some time, or until the database tells of new work.

        What it told of since the last rest counts: there was a look, but it may have been just before.
        """
        self.watch.wait(seconds)

    def close(self) -> None:
        """Finish what is in hand, leave, and close what is open; raises the fault of the last commit."""
        try:
            self.chunk_worker.close()
        finally:
            self.opener.close()
            with suppress(Unavailable, StorageFull):
                self.registry.leave(self.worker_id)
            self.watching.close()
            self.store.close()


def make_work(config: Config, now: Clock | None = None) -> Work:
    """Make what a worker process does; `now` and errors as of `connect`."""
    store, vault = open_installation(config, now)
    now = now or utc_now
    opener = Opener(config.limits, now)
    lease = timedelta(seconds=config.lease_seconds)
    registry = WorkerRegistry(store, now, lease)
    try:
        fill_login_keys(store)
        worker_id = registry.join()
    except BaseException:
        store.close()
        raise
    watching = ExitStack()
    return Work(
        watching=watching,
        watch=watching.enter_context(store.watch(WORK)),
        worker_id=worker_id,
        chunk_worker=ChunkWorker(
            store, vault, opener, now, lease, worker_id, works_ahead=True, limits=config.limits
        ),
        registry=registry,
        retention=Retention(store, now, timedelta(days=config.report_days)),
        opener=opener,
        store=store,
    )
