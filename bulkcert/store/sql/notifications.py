"""Notifications: a waiter is woken after the commit of another process.

PostgreSQL carries them (LISTEN and NOTIFY, on one channel). They only shorten waits: a lost notification
delays the next poll, and on SQLite, which has none, waiters poll often. Waiters always re-read the database.
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
"""The longest wait between two polls with notifications: the delay after a lost one."""

POLL_SECONDS = 0.05
"""The same without notifications."""

_PAUSE_SECONDS = 0.5
"""Pause between two attempts to connect."""

log = structlog.get_logger()


class Watch(Protocol):
    """A watch on a topic."""

    def wait(self, seconds: float) -> bool:
        """Wait for a notification; return True to poll again, False if `seconds` passed without one.

        Notifications since the last `wait` (or since the watch began) count. Returns True after LOOK_SECONDS
        at the latest if more time is left, in case a notification was lost.
        """
        ...


class Sleep:
    """A watch on a database without notifications: polls often."""

    def wait(self, seconds: float) -> bool:
        """Sleep briefly; return True, because something may have happened, unless no time was left."""
        time.sleep(max(0.0, min(seconds, POLL_SECONDS)))
        return seconds > 0


class Waiter:
    """A watch that a `Listener` wakes."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wake(self) -> None:
        """Wake the current `wait`, or let the next one return at once."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait for `wake` (see `Watch.wait`)."""
        if self._woken.wait(max(0.0, min(seconds, LOOK_SECONDS))):
            self._woken.clear()
            return True
        return seconds > LOOK_SECONDS


class Listener:
    """Receiver of the notifications of one database for all waiters of this process, in one thread.

    Thread and connection start with the first watch (never before a fork), and survive a restart of the
    database: all waiters are woken when the connection is made again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._waiters: dict[str, set[Waiter]] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._end: socket.socket | None = None  # closing it wakes the thread

    @contextmanager
    def watch(self, topic: str) -> Iterator[Waiter]:
        """Watch a topic until the end of the block."""
        waiter = Waiter()
        with self._lock:
            self._waiters.setdefault(topic, set()).add(waiter)
            if self._thread is None and not self._closing.is_set():
                self._start()
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiters[topic].discard(waiter)
                if not self._waiters[topic]:
                    del self._waiters[topic]

    def _start(self) -> None:
        wakeup, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, args=(wakeup,), name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End thread and connection, and wake all waiters."""
        self._closing.set()
        with self._lock:
            thread, self._thread = self._thread, None
            if self._end is not None:
                self._end.close()
        if thread is not None:
            thread.join(_PAUSE_SECONDS)  # it outlives this only while it connects, which ends by itself
        self._wake_all()

    def _run(self, wakeup: socket.socket) -> None:
        with wakeup:
            while not self._closing.is_set():
                self._listen(wakeup)
                self._closing.wait(_PAUSE_SECONDS)

    def _listen(self, wakeup: socket.socket) -> None:
        """Listen until the connection is lost or the listener is closed."""
        try:
            pooled = self._engine.raw_connection()
        except (PoolTimeout, DBAPIError, self._driver_error()) as failure:
            log.warning("notifications cannot be received", error=type(failure).__qualname__)
            return
        connection: Any = pooled.driver_connection
        pooled.detach()  # the pool may replace it: this one stays open for long
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            self._wake_all()  # earlier notifications were missed
            self._take_notifications(connection, wakeup)
        except self._driver_error() as failure:
            log.warning("the connection for notifications was lost", error=type(failure).__qualname__)
        finally:
            with suppress(self._driver_error()):
                connection.close()

    def _take_notifications(self, connection: Any, wakeup: socket.socket) -> None:  # noqa: ANN401 - psycopg's
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                for notification in connection.notifies(timeout=0):
                    self._wake(notification.payload)

    def _driver_error(self) -> type[Exception]:
        error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return error

    def _wake(self, topic: str) -> None:
        with self._lock:
            for waiter in self._waiters.get(topic, ()):
                waiter.wake()

    def _wake_all(self) -> None:
        with self._lock:
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.wake()
