"""Events that NanoMDM tells on its webhook (micromdm/nanomdm, service/webhook/event.go): JSON, in which
`raw_payload` is what the device itself sent.

    {"topic": "mdm.Connect", "event_id": "...", "created_at": "2026-11-23T10:00:00.123456789Z",
     "acknowledge_event": {"udid": "...", "command_uuid": "...", "status": "Acknowledged", "raw_payload": ""}}

Which device speaks is what NanoMDM says, which has seen its client certificate; what else the device says of
itself is its own word.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from bulkcert.errors import MalformedRequest
from bulkcert.formats.mdm.plist import Plain, read_plist

_UDID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{7,63}")
_COMMAND_UUID = re.compile(r"[!-~]{1,64}")
_LONGEST_EVENT_ID = 128


class Topic(StrEnum):
    """What an event is about."""

    AUTHENTICATE = "mdm.Authenticate"
    TOKEN_UPDATE = "mdm.TokenUpdate"  # noqa: S105 - a topic's name
    CHECK_OUT = "mdm.CheckOut"
    CONNECT = "mdm.Connect"


@dataclass(frozen=True)
class MdmEvent:
    """One event. said: the device's message, as its property list has it.

    created_at: by the MDM server's clock; aware. udid: None where no device speaks (a user of one does, or it
    is of a kind of enrolment that hides it). command_uuid, status: of an answer to a command. tally: which
    TokenUpdate since the enrolment this is, from 1.
    """

    topic: Topic | None
    id: str | None
    created_at: datetime
    udid: str | None = None
    command_uuid: str | None = None
    status: str | None = None
    tally: int | None = None
    said: Plain = field(default_factory=dict)


def read_event(body: bytes) -> MdmEvent:
    """Read the body of a webhook; raises `MalformedRequest`. Topics that are not known have no `topic`."""
    event = _object(_json(body), "The body")
    topic = next((each for each in Topic if each == event.get("topic")), None)
    event_id, created_at = event.get("event_id"), _moment(event.get("created_at"))
    if event_id is not None and not (isinstance(event_id, str) and 0 < len(event_id) <= _LONGEST_EVENT_ID):
        raise MalformedRequest("The event_id is not a text of up to 128 characters.")
    if topic is None:
        return MdmEvent(None, event_id, created_at)
    name = "acknowledge_event" if topic is Topic.CONNECT else "checkin_event"
    part = _object(event.get(name), name)
    tally = part.get("token_update_tally")
    return MdmEvent(
        topic,
        event_id,
        created_at,
        udid=_udid(part),
        command_uuid=_text(part, "command_uuid", _COMMAND_UUID),
        status=_text(part, "status", _COMMAND_UUID),
        tally=tally if isinstance(tally, int) else None,
        said=_payload(part.get("raw_payload")),
    )


def _json(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise MalformedRequest("The body is not JSON in UTF-8.") from None


def _object(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise MalformedRequest(f"{where} is not an object in braces.")
    return cast("dict[str, object]", value)


def _moment(value: object) -> datetime:
    """Read RFC 3339 as Go writes it: up to nine decimals, of which six count here."""
    try:
        text = re.sub(r"(\.\d{6})\d+", r"\1", value) if isinstance(value, str) and len(value) < 64 else ""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise MalformedRequest("The created_at is not a moment as RFC 3339 has it.")


def _udid(part: dict[str, object]) -> str | None:
    """Return the device's UDID; None for messages of a user of the device, which have an id of their own."""
    ids = part.get("ids")
    kind = ids.get("type") if isinstance(ids, dict) else None
    if part.get("user_id") or kind not in {None, "Device"}:
        return None
    return _text(part, "udid", _UDID)


def _text(part: dict[str, object], name: str, form: re.Pattern[str]) -> str | None:
    value = part.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not form.fullmatch(value):
        raise MalformedRequest(f"The {name} is not of its form.")
    return value


def _payload(value: object) -> Plain:
    if value is None:
        return {}
    try:
        content = base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (ValueError, binascii.Error):
        raise MalformedRequest("The raw_payload is not Base64.") from None
    return read_plist(content)
