"""Notices: who waits for something is woken when another process committed it.

PostgreSQL carries them (LISTEN and NOTIFY, on one channel). They make waiting short and nothing else: one
that is lost, or a database that knows none (SQLite), costs a look in vain. Whoever is woken looks into the
database, and never believes the notice.
"""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import structlog
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

CHANNEL = "bulkcert"

LOOK_SECONDS = 1.0
"""The longest wait between two looks where notices come: what a lost one costs."""

POLL_SECONDS = 0.05
"""The same where there are none."""

_PAUSE_SECONDS = 0.5
"""Between two tries to reach the database."""

log = structlog.get_logger()


class Watch(Protocol):
    """Somebody's waiting for a topic."""

    def wait(self, seconds: float) -> bool:
        """Wait for a notice; True where it is worth looking again, False where `seconds` passed without one.

        What was notified since the last `wait` (or since the watch began) counts. Returns earlier than
        `seconds` (after LOOK_SECONDS at most) for a look in case that a notice was lost.
        """
        ...


class Sleep:
    """A watch on a database without notices: looks often."""

    def wait(self, seconds: float) -> bool:
        """Sleep a little; True, for something may have happened, unless there was no time left."""
        time.sleep(max(0.0, min(seconds, POLL_SECONDS)))
        return seconds > 0


class Bell:
    """A watch that a `Listener` rings."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake whoever waits, or let the next `wait` return at once."""
        self._rung.set()

    def wait(self, seconds: float) -> bool:
        """Wait for `ring` (see `Watch.wait`)."""
        if self._rung.wait(max(0.0, min(seconds, LOOK_SECONDS))):
            self._rung.clear()
            return True
        return seconds > LOOK_SECONDS


class Listener:
    """Takes the notices of one database from one connection, in one thread, for all who wait in this process.

    Thread and connection begin with the first watch (never before a fork), and outlive a database that goes
    away: whoever waits is woken whenever the connection is made again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._bells: dict[str, set[Bell]] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._end: socket.socket | None = None  # closing it wakes the thread

    @contextmanager
    def watch(self, topic: str) -> Iterator[Bell]:
        """Wait for a topic, from now to the end of the block."""
        bell = Bell()
        with self._lock:
            self._bells.setdefault(topic, set()).add(bell)
            if self._thread is None and not self._closing.is_set():
                self._start()
        try:
            yield bell
        finally:
            with self._lock:
                self._bells[topic].discard(bell)
                if not self._bells[topic]:
                    del self._bells[topic]

    def _start(self) -> None:
        ear, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, args=(ear,), name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End thread and connection, and wake everybody."""
        self._closing.set()
        with self._lock:
            thread, self._thread = self._thread, None
            if self._end is not None:
                self._end.close()
        if thread is not None:
            thread.join(_PAUSE_SECONDS)  # it lives longer only while it connects, which ends by itself
        self._ring_all()

    def _run(self, ear: socket.socket) -> None:
        with ear:
            while not self._closing.is_set():
                self._listen(ear)
                self._closing.wait(_PAUSE_SECONDS)

    def _listen(self, ear: socket.socket) -> None:
        """Listen until the connection is lost or the listener is closed."""
        try:
            pooled = self._engine.raw_connection()
        except (PoolTimeout, DBAPIError, self._driver_error()) as failure:
            log.warning("notices cannot be listened to", error=type(failure).__qualname__)
            return
        connection: Any = pooled.driver_connection
        pooled.detach()  # the pool may replace it: this one is held for long
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            self._ring_all()  # what was notified before is not heard any more
            self._take_notices(connection, ear)
        except self._driver_error() as failure:
            log.warning("the connection for notices was lost", error=type(failure).__qualname__)
        finally:
            with suppress(self._driver_error()):
                connection.close()

    def _take_notices(self, connection: Any, ear: socket.socket) -> None:  # noqa: ANN401 - psycopg's
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(ear, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                for notice in connection.notifies(timeout=0):
                    self._ring(notice.payload)

    def _driver_error(self) -> type[Exception]:
        error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return error

    def _ring(self, topic: str) -> None:
        with self._lock:
            for bell in self._bells.get(topic, ()):
                bell.ring()

    def _ring_all(self) -> None:
        with self._lock:
            for bells in self._bells.values():
                for bell in bells:
                    bell.ring()
