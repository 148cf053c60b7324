"""Whether the service is stopping, so that requests which wait end early."""

import threading

_draining = threading.Event()


def begin_draining() -> None:
    """Say that the service is stopping."""
    _draining.set()


def is_draining() -> bool:
    """Return whether the service is stopping."""
    return _draining.is_set()
