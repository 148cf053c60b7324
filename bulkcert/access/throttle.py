"""Failed logins slow their source down, and no other: the administrator can always log in from elsewhere.

A try is counted before its password is checked, in the transaction that lets it through, so that a hundred
tries at once are a hundred tries. A success takes its own try back and the failures of its login, not those
of other logins from the same source. Counts are kept under digests: a login may be a password typed into the
wrong field.
"""

import hashlib
import ipaddress
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from bulkcert.capacity.slots import Slots
from bulkcert.errors import TooManyRequests
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.logins import key_of

FORGET_AFTER = timedelta(hours=1)

_FREE = 5
_FREE_OF_SOURCE = 50
_LONGEST_DELAY = timedelta(seconds=10)
"""Enough against guessing 12 characters, short enough for other people at the same address."""


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
            counted = {_count_of_login(login, source): _FREE, _count_of_source(source): _FREE_OF_SOURCE}
            for count_id, free in sorted(counted.items()):
                tx.lock(f"throttle {count_id}")  # a hundred at once are looked at one after the other
                failures[count_id] = self._failures(tx, count_id, free, now)
            for count_id, number in failures.items():
                tx.throttles.set(count_id, number + 1, now)

    def forgive(self, tx: Transaction, login: str, source: str) -> None:
        """Forget the failures of a login that succeeded, and the count of this try for its source.

        Failures that are long ago are forgotten with them.
        """
        tx.throttles.clear(_count_of_login(login, source), self._now() - FORGET_AFTER)
        tx.throttles.take_back(_count_of_source(source))

    def _failures(self, tx: Transaction, count_id: str, free: int, now: datetime) -> int:
        count = tx.throttles.find(count_id)
        if count is None or now - count.last_failed_at > FORGET_AFTER:
            return 0
        if count.failures >= free:
            delay = min(timedelta(seconds=2.0 ** min(count.failures - free, 10)), _LONGEST_DELAY)
            # A clock that was ahead leaves a last failure in the future; nobody waits for more than the
            # delay.
            left = min(count.last_failed_at + delay - now, delay)
            if left > timedelta(0):
                raise TooManyRequests("Too many logins failed.", retry_after=int(left.total_seconds()) + 1)
        return count.failures


class LoginQueue:
    """Bounds how many logins of a source, and of all sources, wait for their password to be checked.

    A check takes some 30 ms and two run at a time: a flood of logins from one address must not make others
    wait for all of it.
    """

    def __init__(self, most_of_source: int = 4, most: int = 64) -> None:
        self._slots = Slots(most, most_of_source)

    def place(self, source: str) -> AbstractContextManager[None]:
        """Hold a place, or raise `TooManyRequests`. source: the client's address."""
        refusal = TooManyRequests("Too many logins at once.", retry_after=1)
        return self._slots.hold(network_of(source), refusal)


def _count_of_login(login: str, source: str) -> str:
    """Return the id under which failures of a login from a source are counted."""
    return _digest(f"login\x00{network_of(source)}\x00{key_of(login)}")


def _count_of_source(source: str) -> str:
    """Return the id under which failures of all logins from a source are counted."""
    return _digest(f"source\x00{network_of(source)}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


def network_of(source: str) -> str:
    """Return the network that failures from an address are counted for.

    An IPv6 address that carries an IPv4 address (mapped, RFC 4291 §2.5.5.2, or NAT64) counts as that one.
    Another IPv6 address counts as its /64, because a client has a whole one (RFC 6177 §2).
    """
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv4Address):
        return source
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address in _NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
