"""Log lines: JSON on standard error, one object each, with the time in UTC.

Secrets are kept out by their type (`Secret` does not print) and by what is logged: names, ids, codes and
counts; never bodies, headers, query values or the texts of exceptions that quote what was uploaded.
"""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


class _StandardError:
    """Standard error that may be gone: whoever reads the log is not worth a request or a worker."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_logging(level: str) -> None:
    """Send every log line of this process to standard error; `level` as BULKCERT_LOG_LEVEL spells it."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
