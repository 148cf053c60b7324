"""Serial numbers that look like another identity of a device, so that a wrong identity_type shows at once."""

import re

from stdnum import luhn, meid

from bulkcert.values.certificates import WarningCode
from bulkcert.values.identities import DeviceIdentity, IdentityType

_IMEI = re.compile(r"[0-9]{15}")
_MEID = re.compile(r"[0-9A-F]{14,15}|[0-9]{18}")
_BARCODE = re.compile(r"S(?:[0-9A-Z]{10}|[0-9A-Z]{12})")
"""Apple's serial numbers have 10 or 12 characters; the barcode on the box has an S before them."""


def find_lookalike(identity: DeviceIdentity) -> WarningCode | None:
    """Return a warning where a serial number reads like an IMEI, a MEID, or the barcode on the box."""
    value = identity.value
    if identity.type is not IdentityType.SERIAL_NUMBER:
        return None
    if _IMEI.fullmatch(value) and luhn.is_valid(value):
        return WarningCode.LOOKS_LIKE_IMEI
    if _MEID.fullmatch(value) and meid.is_valid(value):
        return WarningCode.LOOKS_LIKE_MEID
    if _BARCODE.fullmatch(value):
        return WarningCode.LOOKS_LIKE_BARCODE
    return None
