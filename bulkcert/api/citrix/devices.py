"""Devices, and whether their certificates were installed.

A device is a device identity with at least one certificate. Its id is the id of its first certificate, so it
stays the same when certificates are replaced, deleted and imported again.
"""

import io
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from flask import Response, request

from bulkcert.api import context
from bulkcert.api.authorization import needs
from bulkcert.api.citrix import tolerant_json
from bulkcert.api.citrix.answers import answer
from bulkcert.api.citrix.envelopes import pieces
from bulkcert.api.citrix.members import Members
from bulkcert.errors import MalformedRequest, NotSupported
from bulkcert.values.certificates import CertificateState, DeviceCertificate
from bulkcert.values.devices import Device, DeviceOrder, DeviceQuery, DeviceRecord
from bulkcert.values.identities import IdentityType
from bulkcert.values.principals import Scope
from bulkcert.values.validity import remaining_days

MOST_LISTED = 100_000
"""The limit that scripts send to get all devices at once."""

_DEFAULT_LISTED = 10
_MOST_STARTS = 10**9
_PLATFORM = "iOS"  # iPads too, as in the vendor's API; the policies are for these devices only

_NUMBER = re.compile(r"[0-9]{1,10}")
_ID = re.compile(r"[1-9][0-9]{0,17}")
_ORDERS = {
    "": DeviceOrder.IDENTITY,
    "id": DeviceOrder.ID,
    "serialnumber": DeviceOrder.IDENTITY,
    "imeiormeid": DeviceOrder.IDENTITY,
}
_DIRECTIONS = {"": False, "asc": False, "desc": True}

Word = TypeVar("Word")


@needs(Scope.CERTIFICATES_READ, Scope.DEPLOYMENTS_READ)
def filter_devices() -> Response:
    """List devices, with the number of all devices and of all that match."""
    found = context.service().devices.list(_read_query())
    envelope = {
        "status": 0,
        "message": "Success",
        "currentFilter": {"detail": [], "selectedFilters": []},
        "filteredDevicesDataList": [],
        "totalCount": found.total,
        "matchedRecords": found.matched,
    }
    entries = map(_entry, found.devices)
    return Response(pieces(envelope, "filteredDevicesDataList", entries), mimetype="application/json")


@needs(Scope.CERTIFICATES_READ, Scope.DEPLOYMENTS_READ)
def show_device(device_id: str) -> Response:
    """Show one device with its certificates."""
    service = context.service()
    # No device has the id 0, so a malformed id gets the same answer as an unknown one.
    found = service.devices.find(int(device_id) if _ID.fullmatch(device_id) else 0)
    return answer({"status": 0, "message": "Success", "device": _details(found, service.now())})


# --- the request ------------------------------------------------------------------------------------


def _read_query() -> DeviceQuery:
    members = Members("the body", _read_members())
    if members.values.get("filterIds") != [] and members.text("filterIds").strip() not in {"", "[]"}:
        raise NotSupported("There are no filters to choose by filterIds: leave it out, or use search.")
    return DeviceQuery(
        text=members.text_or_number("search").strip() or None,
        start=_number(members, "start", 0, (0, _MOST_STARTS)),
        limit=_number(members, "limit", _DEFAULT_LISTED, (1, MOST_LISTED)),
        order=_one_of(members, "sortColumn", _ORDERS),
        is_descending=_one_of(members, "sortOrder", _DIRECTIONS),
    )


def _read_members() -> dict[str, object]:
    """Return the members of the body; an empty body counts as an empty object."""
    content = request.stream.read(4 * tolerant_json.LONGEST + 1)
    if content.strip() in {b"", b"null"}:
        return {}
    return tolerant_json.read_object(io.BytesIO(content))


def _number(members: Members, name: str, default: int, bounds: tuple[int, int]) -> int:
    """Parse a member that is a number, or a number in a string."""
    written = members.text_or_number(name).strip()
    if not written:
        return default
    least, most = bounds
    if not _NUMBER.fullmatch(written) or not least <= int(written) <= most:
        raise MalformedRequest(f"The member {name} of the body is not a number from {least} to {most}.")
    return int(written)


def _one_of(members: Members, name: str, words: Mapping[str, Word]) -> Word:
    """Return the value of a member that holds one of `words`, in any case of letters."""
    written = members.text(name).strip().casefold()
    if written not in words:
        known = ", ".join(filter(None, words)).upper()
        raise NotSupported(f"The member {name} of the body is not one of {known}.")
    return words[written]


# --- the answer -------------------------------------------------------------------------------------


def _entry(device: Device) -> dict[str, Any]:
    identity = device.identity
    is_serial_number = identity.type is IdentityType.SERIAL_NUMBER
    return {
        "id": device.id,
        "serialNumber": identity.value if is_serial_number else None,
        "imeiOrMeid": None if is_serial_number else identity.value,
        "deviceName": None,
        "devicePlatform": _PLATFORM,
        "osVersion": None,
        "lastAccess": None if device.last_seen_at is None else _milliseconds(device.last_seen_at),
        "deployPending": device.pending,
        "deploySuccess": device.installed,
        "deployFailed": device.failed,
        "identityType": identity.type.value,
        "deviceIdentity": identity.value,
    }


def _details(found: DeviceRecord, now: datetime) -> dict[str, Any]:
    current_ones = [each for each in found.certificates if each.state is CertificateState.CURRENT]
    others = [each for each in reversed(found.certificates) if each.state is not CertificateState.CURRENT]
    return _entry(found.device) | {
        "validCertificates": [_certificate(each, now) for each in current_ones],
        "revokedCertificates": [_certificate(each, now) for each in others],
    }


def _certificate(certificate: DeviceCertificate, now: datetime) -> dict[str, Any]:
    """Return the entry of a certificate. `revoked` is the vendor's word for every certificate out of use.

    `state` says why it is out of use; no CA has revoked it.
    """
    facts = certificate.facts
    return {
        "type": "device",
        "issuerName": facts.issuer.text,
        "certificateNumber": facts.serial_number,
        "startDate": _milliseconds(facts.not_before),
        "endDate": _milliseconds(facts.not_after),
        "daysToExpire": remaining_days(facts.not_after, now),
        "revoked": certificate.state is not CertificateState.CURRENT,
        "state": certificate.state.value,
    }


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
