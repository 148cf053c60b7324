"""Dates of certificates in any form whose moment is clear (X.680 §46 and §47, RFC 5280 §4.1.2.5).

RFC 5280 demands seconds, no fraction, and UTC. Some CAs leave the seconds out, add a fraction or an offset:
the moment is clear all the same. A local time without an offset is not.
"""

import re
from datetime import UTC, datetime, timedelta

from bulkcert.formats.asn1.ber import Element
from bulkcert.formats.x509.reader import Unreadable

UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
_FORMS = {
    UTC_TIME: re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?()(?:Z|([+-])(\d\d)(\d\d))"),
    GENERALIZED_TIME: re.compile(
        rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(?:(\d\d)([.,]\d{1,30})?)?(?:Z|([+-])(\d\d)(\d\d))"
    ),
}
_STRICT_SIZES = {UTC_TIME: 13, GENERALIZED_TIME: 15}
_PIVOT = 50  # two digits from here on are of the twentieth century


def read_time(element: Element, field: str) -> tuple[datetime, bool]:
    """Return the moment in UTC to the second, and whether it is written in the form of RFC 5280.

    Raises `Unreadable` with the name of the field where the moment is not clear.
    """
    form = _FORMS.get(element.tag)
    found = form.fullmatch(element.content) if form else None
    if found is None:
        raise Unreadable(field, "is not a date, or has no time zone")
    year, month, day, hour, minute, second, _, sign, hours, minutes = found.groups()
    try:
        moment = datetime(
            _year(element.tag, int(year)), int(month), int(day), int(hour), int(minute), int(second or 0),
            tzinfo=UTC,
        )  # fmt: skip
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment - offset if sign == b"+" else moment + offset
    except (ValueError, OverflowError):
        raise Unreadable(field, "is not a date of the calendar") from None
    is_strict = not sign and len(element.content) == _STRICT_SIZES[element.tag]
    return moment, is_strict


def _year(tag: int, digits: int) -> int:
    if tag == GENERALIZED_TIME:
        return digits
    return digits + (1900 if digits >= _PIVOT else 2000)
