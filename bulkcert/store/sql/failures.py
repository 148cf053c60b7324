"""Mapping of database failures to refusals, by error codes and never by texts."""

import sqlite3

import structlog
from sqlalchemy.exc import DataError, DBAPIError, OperationalError

from bulkcert.errors import Contended, NotStorable, StorageFull, Unavailable

_BUSY = "The database is busy or cannot be reached."
_FULL = "The data volume is full or cannot be written."
_VALUE = "The database does not take a value: it is too long, or out of the range of its column."

# https://www.sqlite.org/rescode.html, the low byte of `sqlite_errorcode`.
_SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
_SQLITE_BUSY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQLSTATE_FULL = {
    "53100",  # disk_full
    "58030",  # io_error
}
_SQLSTATE_BUSY = {
    "25006",  # read_only_sql_transaction: a standby that has not taken over yet
    "25P03",  # idle_in_transaction_session_timeout: the process slept while holding locks
    "25P04",  # transaction_timeout
    "40003",  # statement_completion_unknown
    "53200",  # out_of_memory
    "53300",  # too_many_connections
    "53400",  # configuration_limit_exceeded
    "55P03",  # lock_not_available
    "57014",  # query_canceled: statement_timeout
}
_SQLSTATE_CONTENDED = {
    # A conflict with a concurrent writer is no fault: a second try finds the row of the other.
    "23505",  # unique_violation
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
}
_CLASS_DATA = "22"  # data exceptions: a text that is too long, a number that is out of range
_CLASSES_BUSY = (
    "08",  # connection exceptions
    "57P",  # shutdown, crash, start and recovery of the server
)

log = structlog.get_logger()


def refusal_for(failure: DBAPIError) -> Unavailable | StorageFull | NotStorable | None:
    """Return the refusal for a failure of the database, or for a value; None if the fault is in our code."""
    cause = failure.orig
    if isinstance(failure, DataError) or (getattr(cause, "sqlstate", None) or "").startswith(_CLASS_DATA):
        return value_refused(failure)
    if isinstance(cause, sqlite3.Error):
        return _for_sqlite(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate is None and isinstance(failure, OperationalError):
        # The server did not answer: the text of libpq names host and user, and never a password.
        log.warning("the database cannot be reached", reason=_last_line(cause))
        return Unavailable(_BUSY)
    if sqlstate in _SQLSTATE_FULL:
        log.warning("the database cannot write", sqlstate=sqlstate)
        return StorageFull(_FULL)
    if sqlstate in _SQLSTATE_CONTENDED:
        return Contended("Another writer met this one at the same rows.")
    is_busy = sqlstate in _SQLSTATE_BUSY or (sqlstate or "").startswith(_CLASSES_BUSY)
    if is_busy or failure.connection_invalidated:
        log.warning("the database is busy", sqlstate=sqlstate)
        return Unavailable(_BUSY)
    return None


def value_refused(failure: BaseException) -> NotStorable:
    """Log and return the refusal of a value by the database or its driver, without quoting the value."""
    cause = getattr(failure, "orig", None) or failure
    log.error(
        "the database does not take a value",
        error=type(cause).__qualname__,
        sqlstate=getattr(cause, "sqlstate", None),
    )
    return NotStorable(_VALUE)


def _for_sqlite(code: int) -> Unavailable | StorageFull | None:
    if code in _SQLITE_FULL:
        return StorageFull(_FULL)
    return Unavailable(_BUSY) if code in _SQLITE_BUSY else None


def _last_line(cause: BaseException | None) -> str:
    """Return the last line of libpq's text, which has a line and indented hints for each address it tried."""
    lines = [line for line in str(cause).strip().splitlines() if line and not line[0].isspace()]
    return lines[-1].strip() if lines else ""
