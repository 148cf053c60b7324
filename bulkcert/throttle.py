"""Failed logins slow their source down, and nobody else: nobody can lock the administrator out.

A try is counted before its password is looked at, in the transaction that lets it through, so that a
hundred tries at once are a hundred tries; a success takes the count back. Counts are kept under digests: a
login may be a password typed into the wrong field.
"""

import hashlib
import ipaddress
from collections.abc import Callable
from datetime import datetime, timedelta

from bulkcert.errors import TooManyRequests
from bulkcert.store import Store, Transaction

FORGET_AFTER = timedelta(hours=1)

_FREE = 5
_FREE_OF_SOURCE = 50
_LONGEST_DELAY = timedelta(seconds=10)
"""Enough against guessing 12 characters, short enough for whoever shares the source's address."""


class Throttle:
    """Counts the tries of a login from a source, and of a source for all logins."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def admit(self, login: str, source: str) -> None:
        """Count a try, or raise `TooManyRequests`. source: the client's address."""
        now = self._now()
        with self._store.writing() as tx:
            failures: dict[str, int] = {}
            for count_id, free in sorted(_counts(login, source).items()):
                tx.lock(f"throttle {count_id}")  # a hundred at once are looked at one after the other
                failures[count_id] = self._failures(tx, count_id, free, now)
            for count_id, number in failures.items():
                tx.throttles.set(count_id, number + 1, now)

    def forgive(self, tx: Transaction, login: str, source: str) -> None:
        """Forget the tries before a success, and those of others that are long ago."""
        for count_id in _counts(login, source):
            tx.throttles.clear(count_id, self._now() - FORGET_AFTER)

    def _failures(self, tx: Transaction, count_id: str, free: int, now: datetime) -> int:
        count = tx.throttles.find(count_id)
        if count is None or now - count.last_failed_at > FORGET_AFTER:
            return 0
        if count.failures >= free:
            delay = min(timedelta(seconds=2.0 ** min(count.failures - free, 10)), _LONGEST_DELAY)
            left = count.last_failed_at + delay - now
            if left > timedelta(0):
                raise TooManyRequests("Too many logins failed.", retry_after=int(left.total_seconds()) + 1)
        return count.failures


def _counts(login: str, source: str) -> dict[str, int]:
    """Name the two counts that a try falls under, and how many failures each has free."""
    source = _network(source)
    both = hashlib.sha256(f"login\x00{source}\x00{login}".encode(errors="surrogatepass")).hexdigest()
    alone = hashlib.sha256(f"source\x00{source}".encode(errors="surrogatepass")).hexdigest()
    return {both: _FREE, alone: _FREE_OF_SOURCE}


def _network(source: str) -> str:
    """Give the /64 of an IPv6 address: whoever has one address of it has them all (RFC 6177 §2)."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if address.version == 4:
        return source
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
