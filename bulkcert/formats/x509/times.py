"""Dates of certificates in any form whose moment is clear (X.680 §46 and §47, RFC 5280 §4.1.2.5).

RFC 5280 demands seconds, no fraction, and UTC. Some CAs leave seconds or minutes out, add a fraction or an
offset: the moment is clear all the same. A local time without an offset is not.
"""

import re
from datetime import UTC, datetime, timedelta

from bulkcert.formats.asn1.ber import Element
from bulkcert.formats.x509.reader import Unreadable

UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
_OFFSET = rb"(?:Z|(?P<sign>[+-])(?P<offset_hours>[01]\d|2[0-3])(?P<offset_minutes>[0-5]\d)?)"
_FORMS = {
    UTC_TIME: re.compile(
        rb"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?"
        rb"(?P<fraction>)" + _OFFSET
    ),
    GENERALIZED_TIME: re.compile(
        rb"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?P<hour>\d\d)(?:(?P<minute>\d\d)(?P<second>\d\d)?)?"
        rb"(?:[.,](?P<fraction>\d{1,30}))?" + _OFFSET
    ),
}
_PIVOT = 50  # two digits from here on are of the twentieth century
_DAY = timedelta(days=1)


def read_time(element: Element, field: str) -> tuple[datetime, bool]:
    """Return the moment in UTC to the second, and whether it is written in the form of RFC 5280.

    Raises `Unreadable` with the name of the field where the moment is not clear.
    """
    form = _FORMS.get(element.tag)
    found = form.fullmatch(element.content) if form else None
    if found is None:
        raise Unreadable(field, "is not a date, or has no time zone")
    written = found.groupdict()
    try:
        midnight = datetime(
            _year(element.tag, int(written["year"])), int(written["month"]), int(written["day"]), tzinfo=UTC
        )
        moment = midnight + _time_of_day(written) - _offset(written)
    except (ValueError, OverflowError):
        raise Unreadable(field, "is not a date of the calendar") from None
    return moment, bool(written["second"]) and not written["fraction"] and not written["sign"]


def _time_of_day(written: dict[str, bytes | None]) -> timedelta:
    """Return the time since midnight to the second; a fraction is of the smallest unit that stands there.

    Midnight may be written as 24 hours (ISO 8601). Raises ValueError where a number is too large.
    """
    hour, minute, second = (int(written[unit] or 0) for unit in ("hour", "minute", "second"))
    unit = 1 if written["second"] else 60 if written["minute"] else 3600
    digits = written["fraction"] or b"0"
    fraction = int(digits) * unit // 10 ** len(digits)
    since_midnight = timedelta(hours=hour, minutes=minute, seconds=second + fraction)
    if minute > 59 or second > 59 or since_midnight > _DAY:
        raise ValueError
    return since_midnight


def _offset(written: dict[str, bytes | None]) -> timedelta:
    """Return how far local time is ahead of UTC."""
    offset = timedelta(hours=int(written["offset_hours"] or 0), minutes=int(written["offset_minutes"] or 0))
    return -offset if written["sign"] == b"-" else offset


def _year(tag: int, digits: int) -> int:
    if tag == GENERALIZED_TIME:
        return digits
    return digits + (1900 if digits >= _PIVOT else 2000)
