"""What devices answer to MDM commands, by Apple's schema: values out of hostile property lists."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from bulkcert.errors import InvalidIdentity
from bulkcert.formats.mdm.plist import Plain
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.mdm import Claims

_MOST_SUBSCRIPTIONS = 4
_MOST_LINKS = 5
_LONGEST_REASON = 400
_MOST_CODE = 10**12


def read_claims(said: Plain) -> Claims:
    """Read who a device says it is, in Authenticate or in the QueryResponses of DeviceInformation.

    What is not a valid identity is left out. IMEI and MEID stand beside the serial number (deprecated since
    iOS 16), in ServiceSubscriptions, or in both.
    """
    serial_numbers = _identities(IdentityType.SERIAL_NUMBER, [said.get("SerialNumber")])
    places = [said, *_dictionaries(said.get("ServiceSubscriptions"), _MOST_SUBSCRIPTIONS)]
    return Claims(
        serial_number=serial_numbers[0] if serial_numbers else None,
        imeis=_identities(IdentityType.IMEI, [place.get("IMEI") for place in places]),
        meids=_identities(IdentityType.MEID, [place.get("MEID") for place in places]),
    )


def _identities(kind: IdentityType, written: list[object]) -> tuple[str, ...]:
    found: list[str] = []
    for text in written:
        if isinstance(text, str):
            try:
                found.append(DeviceIdentity.parse(kind, text).value)
            except InvalidIdentity:
                continue
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class ListedProfile:
    """A profile that a device lists."""

    identifier: str
    uuid: str


def read_profiles(said: Plain) -> list[ListedProfile] | None:
    """Read the answer to ProfileList; None where it is none."""
    if not isinstance(said.get("ProfileList"), list):
        return None
    listed = [
        (each.get("PayloadIdentifier"), each.get("PayloadUUID"))
        for each in _dictionaries(said["ProfileList"])
    ]
    return [
        ListedProfile(identifier, uuid if isinstance(uuid, str) else "")
        for identifier, uuid in listed
        if isinstance(identifier, str)
    ]


def read_identity_fingerprints(said: Plain) -> set[str] | None:
    """Read, of the answer to CertificateList, the SHA-256 of each certificate whose key the device has.

    None where it is no such answer.
    """
    if not isinstance(said.get("CertificateList"), list):
        return None
    listed = [each.get("Data") for each in _dictionaries(said["CertificateList"]) if each.get("IsIdentity")]
    return {hashlib.sha256(der).hexdigest() for der in listed if isinstance(der, bytes)}


def read_reason(said: Plain) -> str:
    """Return why a device refused a command: up to 400 printable characters of its ErrorChain."""
    links = list(_dictionaries(said.get("ErrorChain"), _MOST_LINKS))
    reasons = [reason for link in links if (reason := _reason(link))]
    text = " / ".join(dict.fromkeys(reasons)) or "The device gave no reason."
    printable = "".join(each if each.isprintable() else " " for each in text[: _LONGEST_REASON * 2])
    return " ".join(printable.split())[:_LONGEST_REASON]


def _reason(link: Plain) -> str:
    texts = (link.get("USEnglishDescription"), link.get("LocalizedDescription"))
    text = next((each for each in texts if isinstance(each, str) and each.strip()), "")
    domain, code = link.get("ErrorDomain"), link.get("ErrorCode")
    named = f" ({domain} {code})" if isinstance(domain, str) and _is_code(code) else ""
    return text[:_LONGEST_REASON] + named[:100]


def _is_code(value: object) -> bool:
    # Hexadecimal integers of a plist have no limit, and Python writes none of more than 4,300 digits.
    return isinstance(value, int) and abs(value) < _MOST_CODE


def _dictionaries(value: object, most: int | None = None) -> Iterator[Plain]:
    if isinstance(value, list):
        yield from (each for each in value[:most] if isinstance(each, dict))
