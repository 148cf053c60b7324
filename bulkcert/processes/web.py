"""What happens in the web process besides answering requests."""

import asyncio
import atexit
import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bulkcert.api.app import create_gateway
from bulkcert.api.gateway import Gateway
from bulkcert.config import Config
from bulkcert.logs import configure_logging, faults_logged
from bulkcert.opening import memory
from bulkcert.processes.draining import begin_draining, is_draining

_KEPT_VARIABLES = frozenset({"HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ"})
_LOOK_SECONDS = 1.0
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""After a minute of silence, four times in a minute."""


def load_app(parent: int, finish_seconds: float, *, behind_proxy: bool = False) -> Gateway:
    """Make the app, in the main thread of a web process that `parent` (a process id) started.

    When the service stops, and when the parent is gone, requests that wait are told to end early
    (`draining`); without a parent the process ends itself, `finish_seconds` later at most.
    """
    atexit.register(_end_at_once)
    memory.protect()  # a new program does not inherit it
    configure_logging(Config.from_environment(os.environ).log_level)
    with faults_logged("the web process does not start"):
        app = create_gateway(behind_proxy=behind_proxy, is_stopping=is_draining)
    # No request needs a setting, and no library may read a variable such as HTTP_AUTH_TOKEN as a header.
    for name in set(os.environ) - _KEPT_VARIABLES:
        del os.environ[name]
    _watch_signals_of(asyncio.get_event_loop_policy().get_event_loop())
    threading.Thread(target=_watch, args=(_signals(), parent, finish_seconds), daemon=True).start()
    return app


def _end_at_once() -> None:
    """End the process in the place of the interpreter, once the service is stopping and all is answered.

    The interpreter would end the server's threads, which Rust takes for a panic: it writes plain text to the
    log and aborts.
    """
    if is_draining():
        sys.stderr.flush()
        os._exit(0)


def _signals() -> int:
    """Return a descriptor on which the number of every signal can be read.

    The server sets its handlers after this; here they are seen without taking them away from it.
    """
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    return receiving


def _watch_signals_of(loop: asyncio.AbstractEventLoop) -> None:
    """Begin draining at a signal for which the server sets its handler on the event loop after this.

    The loop takes the descriptor of `_signals` away.
    """
    add = loop.add_signal_handler

    def add_watched(number: int, callback: Callable[..., object], *arguments: Any) -> None:  # noqa: ANN401
        def handle() -> None:
            begin_draining()
            callback(*arguments)

        add(number, handle)

    loop.add_signal_handler = add_watched  # type: ignore[method-assign,assignment]


def _watch(signals: int, parent: int, finish_seconds: float) -> None:
    is_probing = sys.platform != "linux"
    while os.getppid() == parent:
        is_probing = is_probing or _probe_silent_clients()
        readable, _, _ = select.select([signals], [], [], _LOOK_SECONDS)
        if readable and {signal.SIGTERM, signal.SIGINT} & set(os.read(signals, 64)):
            begin_draining()
    begin_draining()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(finish_seconds)
    os._exit(1)


def _probe_silent_clients() -> bool:
    """Let the kernel close connections whose client is gone without a word; False before the server listens.

    Such a client, in the middle of an answer, would hold its thread for ever. The server does not ask for
    probes itself; on Linux, accepted connections have the options of the socket that listens (tcp(7)).
    """
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is gone by now
            if entry.is_socket() and _probe_if_listening(os.dup(int(entry.name))):
                return True
    return False


def _probe_if_listening(descriptor: int) -> bool:
    with socket.socket(fileno=descriptor) as found:
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _PROBES.items():
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return True
