"""Device identities: parse, normalise, compare.

A device identity is a type and a value. Two spellings of the same device (lower case, the hyphens that
are printed on a box, a MEID in decimal) become the same value, so equality is `==`.
"""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import stdnum.exceptions
from stdnum import imei, luhn, meid

from bulkcert.errors import InvalidIdentity, UnknownIdentityType
from bulkcert.values.misspellings import find_misspelling

LONGEST = 64
"""No spelling of a device identity is longer than this many characters."""

_SERIAL_NUMBER = re.compile(r"[A-Z0-9]{8,20}")
_DIGITS = re.compile(r"[0-9]+")
_MEID = re.compile(r"[0-9A-F]{14}")


class IdentityType(enum.StrEnum):
    """What a device identity is the number of."""

    SERIAL_NUMBER = "SERIAL_NUMBER"
    IMEI = "IMEI"
    MEID = "MEID"

    @classmethod
    def parse(cls, text: str) -> "IdentityType":
        """Read the name of a type as the API spells it, or raise `UnknownIdentityType`."""
        try:
            return cls(text)
        except ValueError:
            raise UnknownIdentityType("The identity type is not SERIAL_NUMBER, IMEI or MEID.") from None


@dataclass(frozen=True, order=True)
class DeviceIdentity:
    """How a device is named. One that exists is valid and in normal form."""

    type: IdentityType
    value: str

    @classmethod
    def parse(cls, identity_type: IdentityType, text: str) -> Self:
        """Read a device identity as people write it, or raise `InvalidIdentity` with what is wrong.

        text: what stands there, hostile and of any length.

        SERIAL_NUMBER: 8 to 20 of A-Z and 0-9 (upper-cased).
        IMEI: 15 digits with a Luhn check digit (3GPP TS 23.003 §6.2.1); spaces and hyphens are dropped.
        MEID: 14 hexadecimal digits (3GPP2 S.R0048); a 15th check digit is verified and dropped, the
        18-digit decimal form converted; spaces and hyphens are dropped.
        """
        try:
            if len(text) > LONGEST:
                raise InvalidIdentity(f"A device identity has at most {LONGEST} characters.")  # noqa: TRY301
            return cls(identity_type, _PARSERS[identity_type](text.strip()))
        except InvalidIdentity as refusal:
            if misspelling := find_misspelling(text):
                raise InvalidIdentity(f"{refusal.detail} {misspelling.fault}") from None
            raise

    def __str__(self) -> str:
        return self.value


def _serial_number(text: str) -> str:
    value = text.upper()
    # str.upper turns "ß" into "SS": only ASCII may reach the comparison.
    if not text.isascii() or not _SERIAL_NUMBER.fullmatch(value):
        raise InvalidIdentity("A serial number has 8 to 20 letters A-Z and digits, nothing else.")
    return value


def _imei(text: str) -> str:
    value = _without_separators(text)
    if not _DIGITS.fullmatch(value):
        raise InvalidIdentity("An IMEI has 15 digits, nothing else.")
    if len(value) == 14:
        raise InvalidIdentity("This IMEI has 14 digits: the check digit at its end is missing.")
    if len(value) == 16:
        raise InvalidIdentity(
            "This is a 16-digit IMEISV; use the 15-digit IMEI without the software version."
        )
    if len(value) != 15:
        raise InvalidIdentity(f"An IMEI has 15 digits, this has {len(value)}.")
    if not luhn.is_valid(value):
        raise InvalidIdentity("The check digit of this IMEI is wrong: a digit is mistyped.")
    return imei.compact(value)


def _meid(text: str) -> str:
    # str.upper turns the ligature "ﬀ" into "FF", and stdnum takes full-width digits for plain ones.
    if not text.isascii():
        raise InvalidIdentity("A MEID has 14 hexadecimal digits (or 18 decimal ones).")
    value = _without_separators(text).upper()
    try:
        # Decimal (18 digits, or 19 with check digit), hexadecimal with check digit: all validated there.
        value = meid.compact(meid.validate(value), strip_check_digit=True)
    except stdnum.exceptions.InvalidChecksum:
        raise InvalidIdentity("The check digit of this MEID is wrong: a digit is mistyped.") from None
    except stdnum.exceptions.ValidationError:
        raise InvalidIdentity("A MEID has 14 hexadecimal digits (or 18 decimal ones).") from None
    if not _MEID.fullmatch(value):
        raise InvalidIdentity("A MEID has 14 hexadecimal digits (or 18 decimal ones).")
    return value


def _without_separators(text: str) -> str:
    return text.replace("-", "").replace(" ", "")


_PARSERS: dict[IdentityType, Callable[[str], str]] = {
    IdentityType.SERIAL_NUMBER: _serial_number,
    IdentityType.IMEI: _imei,
    IdentityType.MEID: _meid,
}
