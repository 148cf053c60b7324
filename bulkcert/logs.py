"""Log lines: JSON on standard error, one object each, with the time in UTC.

Secrets are kept out by their type (`Secret` does not print) and by what is logged: names, ids, codes and
counts; never bodies, headers, query values or the texts of exceptions and warnings, which may quote what was
uploaded. What libraries log, warn of or raise takes the same form.
"""

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

import structlog

from bulkcert.errors import Refusal

_PACKAGE = Path(__file__).resolve().parent
_LONGEST_TEXT = 500
_LEVELS = ("debug", "info", "warning", "error", "critical")


class _StandardError:
    """Standard error that may be gone: whoever reads the log is not worth a request or a worker."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


_PROCESSORS: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.JSONRenderer(),
)


def configure_logging(level: str) -> None:
    """Send every log line of this process to standard error; `level` as BULKCERT_LOG_LEVEL spells it.

    Lines of libraries, warnings and uncaught exceptions are among them.
    """
    structlog.configure(
        processors=list(_PROCESSORS),  # structlog copies it as a list
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    logging.getLogger().handlers[:] = [LibraryLines()]
    warnings.showwarning = _log_warning
    sys.excepthook = _log_uncaught
    sys.unraisablehook = lambda found: _log_uncaught(found.exc_type, found.exc_value, found.exc_traceback)
    threading.excepthook = lambda found: _log_uncaught(found.exc_type, found.exc_value, found.exc_traceback)


@contextmanager
def plain_lines() -> Iterator[None]:
    """Write warnings and errors within the block to standard error, one sentence each, for people.

    Standard output belongs to the result of a command, which may be JSON.
    """
    before = structlog.get_config()
    structlog.configure(
        processors=[_as_sentence],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _as_sentence(_logger: object, _level: str, line: MutableMapping[str, Any]) -> str:
    values = ", ".join(f"{name}: {value}" for name, value in line.items() if name != "event" and value)
    return f"bulkcert: {line['event']}" + (f" ({values})" if values else "")


class LibraryLines(logging.Handler):
    """Writes what libraries log through `logging`: their texts without the values that belong in them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        error = record.exc_info[1] if record.exc_info else None
        _log(
            record.levelname.lower() if record.levelname.lower() in _LEVELS else "info",
            str(record.msg)[:_LONGEST_TEXT],
            logger=record.name,
            **({} if error is None else describe_fault(error)),
        )


def _log(level: str, event: str, **values: object) -> None:
    getattr(structlog.get_logger(), level)(event, **values)


def _log_warning(
    message: Warning | str,  # noqa: ARG001 - the signature of `warnings.showwarning`
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    _log("warning", "python warning", category=category.__qualname__, place=_place_of(filename, lineno))


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None
) -> None:
    if kind is not SystemExit:
        _log("critical", "uncaught exception", **describe_fault(error if error is not None else kind()))


def log_refusal(event: str, refusal: Refusal) -> None:
    """Write why a process does not start or go on; `configure_logging` need not have been called."""
    faults = [f"{fault.where}: {fault.detail}" for fault in refusal.faults]
    more = {"errors": faults} if faults else {}
    _log_last(event, code=refusal.code, detail=refusal.detail, **more, remedy=refusal.remedy)


def _log_last(event: str, **values: object) -> None:
    logger = structlog.PrintLogger(cast("TextIO", _StandardError()))
    structlog.wrap_logger(logger, processors=_PROCESSORS).critical(event, **values)


@contextmanager
def faults_logged(event: str) -> Iterator[None]:
    """End this process with status 1 where the block raises, and log why under the name of `event`."""
    try:
        yield
    except Refusal as refusal:
        log_refusal(event, refusal)
        raise SystemExit(1) from None
    except Exception as fault:  # noqa: BLE001 - the outermost call of a process
        _log_last(event, **describe_fault(fault))
        raise SystemExit(1) from None


def describe_fault(error: BaseException) -> dict[str, Any]:
    """Return what a log line may hold of an exception: its kind, causes and places, without a value."""
    return {
        "error": type(error).__qualname__,
        "causes": [type(cause).__qualname__ for cause in _causes(error)],
        "frames": [
            f"{_place_of(frame.filename, frame.lineno)} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ],
    }


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    cause = error.__cause__ or error.__context__
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _place_of(filename: str, line: int | None) -> str:
    """Name a line of code without the machine's paths."""
    path = Path(filename)
    ours = path.is_relative_to(_PACKAGE)
    name = path.relative_to(_PACKAGE.parent) if ours else Path(path.parent.name, path.name)
    return f"{name.as_posix()}:{line}"
