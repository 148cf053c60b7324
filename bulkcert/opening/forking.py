"""The template process from inside: it imports everything, confines itself, and forks a child per import.

It never sees a file, a password or a key, so its children begin with nothing of another import. Its orders
come over a Unix socket, one message for each:
- its limits (JSON); answered by the layers of confinement that are in force (JSON);
- `FORK` with the descriptors of two pipes; answered by the process id of a child that serves them;
- `REAP` and a process id; answered by the status of its end (wait(2)), for which it waits.
"""

import array
import codecs
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict

import cryptography

from bulkcert.formats.pkcs12 import kdf
from bulkcert.opening.confinement import confine_child, confine_template
from bulkcert.values.limits import Limits

CONTROL = 0
"""The descriptor of the socket: the standard input."""

FORK, REAP = b"F", b"R"
NUMBER = struct.Struct(">q")
LONGEST_MESSAGE = 64 * 1024

_ENCODINGS = (
    "ascii",
    "latin-1",
    "utf-8",
    "utf-16-be",
    "utf-16-le",
    "utf-32-be",
    "cp1252",
    "idna",
    "punycode",
)
"""Modules that Python would import when a text needs them; a confined process can import nothing."""

Serve = Callable[[int, int, Limits], None]


def run(serve: Serve) -> None:
    """Serve orders until the worker closes the socket. serve: the work of a child on its two pipes."""
    # A stop of the service may signal the whole group: the worker decides when its processes end.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.SIG_IGN)
    control = _claim_control()
    limits = Limits(**json.loads(control.recv(LONGEST_MESSAGE)))
    _import_what_is_imported_late()
    layers = confine_template()
    gc.collect()
    gc.freeze()  # imported objects live as long as the process: children need not look through them
    control.send(json.dumps(asdict(layers)).encode())
    while (order := _receive(control))[0]:
        _obey(*order, control, serve, limits)


def _obey(content: bytes, pipes: list[int], control: socket.socket, serve: Serve, limits: Limits) -> None:
    if content == FORK and len(pipes) == 2:
        if (pid := os.fork()) == 0:
            _be_child(control, pipes, serve, limits)
        for pipe in pipes:
            os.close(pipe)
        control.send(NUMBER.pack(pid))
    elif content.startswith(REAP):
        (pid,) = NUMBER.unpack_from(content, len(REAP))
        control.send(NUMBER.pack(os.waitpid(pid, 0)[1]))


def _be_child(control: socket.socket, pipes: list[int], serve: Serve, limits: Limits) -> None:
    """Serve the pipes and end; nothing of the template's own runs after this."""
    status = 1
    try:
        control.close()
        confine_child(limits)
        requests, answers = pipes
        serve(requests, answers, limits)
        status = 0
    except BrokenPipeError:  # the worker is gone
        status = 0
    finally:
        os._exit(status)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next order and the descriptors that came with it; an empty order at the end."""
    descriptors = array.array("i")
    content, ancillary, _flags, _address = control.recvmsg(
        LONGEST_MESSAGE, socket.CMSG_SPACE(2 * descriptors.itemsize)
    )
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    return content, list(descriptors)


def _claim_control() -> socket.socket:
    """Move the socket off the standard descriptors, so that nothing printed goes into it."""
    control = socket.socket(fileno=os.dup(CONTROL))
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    return control


def _import_what_is_imported_late() -> None:
    for module in pkgutil.walk_packages(cryptography.__path__, "cryptography."):
        importlib.import_module(module.name)  # some of them import others inside functions
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)
    kdf.engine()


if sys.platform == "darwin":  # pragma: no cover - no SOCK_SEQPACKET there
    SOCKET_TYPE = socket.SOCK_DGRAM
else:
    SOCKET_TYPE = socket.SOCK_SEQPACKET
