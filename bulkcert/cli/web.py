"""What happens in the web process besides answering requests."""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bulkcert import memory
from bulkcert.api import create_from_environment
from bulkcert.config import Config
from bulkcert.draining import begin_draining
from bulkcert.logs import configure_logging, faults_logged

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_KEPT_VARIABLES = frozenset({"HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ"})
_LOOK_SECONDS = 1.0
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""After a minute of silence, four times in a minute."""


def load_app(parent: int, finish_seconds: float, *, behind_proxy: bool = False) -> "WSGIApplication":
    """Make the app, in the main thread of a web process that `parent` (a process id) started.

    When the service stops, and when the parent is gone, requests that wait are told to end early
    (`draining`); without a parent the process ends itself, `finish_seconds` later at most.
    """
    memory.protect()  # a new program does not inherit it
    configure_logging(Config.from_environment(os.environ).log_level)
    with faults_logged("the web process does not start"):
        app = create_from_environment(behind_proxy=behind_proxy)
    # The server puts the environment into that of each request: no setting may stand in there, and no
    # variable such as HTTP_AUTH_TOKEN, which would be read as a header of every request.
    for name in set(os.environ) - _KEPT_VARIABLES:
        del os.environ[name]
    threading.Thread(target=_watch, args=(_signals(), parent, finish_seconds), daemon=True).start()
    return app


def _signals() -> int:
    """Give a descriptor on which the number of every signal can be read.

    The server sets its handlers after this; here they are seen without taking them away from it.
    """
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    return receiving


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

    Such a client, in the middle of an upload, would hold its thread for ever. The server does not ask for
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
