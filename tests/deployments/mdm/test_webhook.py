"""The webhook takes what NanoMDM signed, once and while it is fresh, and nothing else."""

import base64
import json
import plistlib
from datetime import timedelta
from typing import Any

import pytest

from bulkcert.errors import MalformedRequest, NotFound, Refusal, Unauthenticated
from bulkcert.errors.mdm import RepeatedEvent, StaleEvent, WrongSignature
from bulkcert.formats.mdm.plist import read_plist
from tests.deployments.mdm.nanomdm.webhooks import sign
from tests.deployments.mdm.site import Site, any_site_fixture, site_fixture  # noqa: F401

UDID = "00008110-0011223344556677"


def an_event(site: Site, **members: Any) -> dict[str, Any]:
    raw = plistlib.dumps({"MessageType": "TokenUpdate", "UDID": UDID})
    part = {
        "ids": {"id": UDID, "type": "Device"},
        "raw_payload": base64.b64encode(raw).decode(),
        "udid": UDID,
    }
    moment = site.clock.now.isoformat()
    event = {"topic": "mdm.TokenUpdate", "event_id": "e-1", "created_at": moment, "checkin_event": part}
    return event | members


def take(site: Site, body: Any, key: str = "an hmac key") -> None:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    site.mdm.take(body, sign(body, key))


def is_known(site: Site) -> bool:
    with site.verbs.store.reading() as tx:
        return tx.mdm.device(UDID) is not None


def test_a_signed_event_is_taken(any_site: Site) -> None:
    take(any_site, an_event(any_site))
    assert is_known(any_site)


def test_a_device_was_last_seen_when_the_latest_of_its_events_happened(any_site: Site) -> None:
    now = any_site.clock.now
    ages = [30, 10, 20, -4]  # minutes, in the order in which they come; the last by a clock that is ahead
    seen = []
    for number, minutes in enumerate(ages):
        moment = (now - timedelta(minutes=minutes)).isoformat()
        take(any_site, an_event(any_site, event_id=f"e-{number}", created_at=moment))
        with any_site.verbs.store.reading() as tx:
            device = tx.mdm.device(UDID)
        assert device is not None
        seen.append((now - device.last_seen_at) // timedelta(minutes=1))

    assert seen == [30, 10, 10, 0]


@pytest.mark.parametrize(
    "signature", [None, "", "é", "x" * 44, "A" * 43 + "=", sign(b"{}", "an hmac key"), "an hmac key"]
)
def test_without_the_right_signature_nothing_is_taken(site: Site, signature: str | None) -> None:
    with pytest.raises(WrongSignature) as refused:
        site.mdm.take(json.dumps(an_event(site)).encode(), signature)
    assert isinstance(refused.value, Unauthenticated)
    assert not is_known(site)


def test_another_key_or_other_bytes_do_not_pass(site: Site) -> None:
    body = json.dumps(an_event(site)).encode()
    for signature in (sign(body, "another key"), sign(body + b" ", "an hmac key")):
        with pytest.raises(WrongSignature):
            site.mdm.take(body, signature)
    assert not is_known(site)


def test_without_an_mdm_server_there_is_no_webhook(site: Site) -> None:
    with site.verbs.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM mdm_servers")
    with pytest.raises(NotFound):
        take(site, an_event(site))


@pytest.mark.parametrize(
    "age", [timedelta(hours=1, seconds=1), timedelta(days=400), -timedelta(minutes=5, seconds=1)]
)
def test_an_event_that_is_old_or_of_the_future_is_refused(site: Site, age: timedelta) -> None:
    with pytest.raises(StaleEvent):
        take(site, an_event(site, created_at=(site.clock.now - age).isoformat()))
    assert not is_known(site)


@pytest.mark.parametrize("age", [timedelta(minutes=59), -timedelta(minutes=4)])
def test_clocks_may_differ_a_little(site: Site, age: timedelta) -> None:
    take(site, an_event(site, created_at=(site.clock.now - age).isoformat()))
    assert is_known(site)


@pytest.mark.parametrize("event_id", ["e-1", None], ids=["by its id", "by its bytes"])
def test_an_event_is_taken_once(any_site: Site, event_id: str | None) -> None:
    event = {name: value for name, value in an_event(any_site, event_id=event_id).items() if value}
    take(any_site, event)
    with pytest.raises(RepeatedEvent):
        take(any_site, event)
    if event_id:  # the same event, written in another way
        with pytest.raises(RepeatedEvent):
            take(any_site, json.dumps(event, indent=3).encode())


def test_an_event_that_is_forgotten_is_stale_by_then(site: Site) -> None:
    event = an_event(site)
    take(site, event)
    site.later(2 * 3600)
    with site.verbs.store.writing() as tx:
        tx.mdm.forget_events(site.clock.now - timedelta(hours=2))
    with pytest.raises(StaleEvent):
        take(site, event)


def test_an_event_whose_taking_fails_can_come_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(site.mdm.devices, "hear", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(site, an_event(site))
    take(site, an_event(site))
    assert is_known(site)


def raw(content: bytes) -> str:
    return base64.b64encode(content).decode()


BOMB = b"""<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>
<plist><dict><key>UDID</key><string>&b;&b;&b;</string></dict></plist>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<plist><dict><key>UDID</key><string>&a;</string></dict></plist>"""
DEEP = b"<plist>" + b"<array>" * 50_000 + b"</array>" * 50_000 + b"</plist>"
PART = {"udid": UDID, "ids": {"id": UDID, "type": "Device"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"topic": "mdm.TokenUpdate"}',
        b"<html></html>",
    ],
)
def test_garbage_is_refused(site: Site, body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        take(site, body)


@pytest.mark.parametrize(
    "members",
    [
        {"created_at": None},
        {"created_at": 7},
        {"created_at": "yesterday"},
        {"created_at": "2026-11-23T10:00:00"},
        {"created_at": "9" * 100_000},
        {"event_id": 7},
        {"event_id": "x" * 129},
        {"checkin_event": None},
        {"checkin_event": []},
        {"checkin_event": PART | {"udid": 7}},
        {"checkin_event": PART | {"udid": "../../v1/push/x"}},
        {"checkin_event": PART | {"udid": "x" * 65}},
        {"checkin_event": PART | {"raw_payload": 7}},
        {"checkin_event": PART | {"raw_payload": "not Base64!"}},
        {"checkin_event": PART | {"raw_payload": raw(b"garbage")}},
        {"checkin_event": PART | {"raw_payload": raw(b"<plist><dict>")}},
        {"checkin_event": PART | {"raw_payload": raw(b"<plist><array/></plist>")}},
        {"checkin_event": PART | {"raw_payload": raw(BOMB)}},
        {"checkin_event": PART | {"raw_payload": raw(OUTSIDE)}},
        {"checkin_event": PART | {"raw_payload": raw(DEEP)}},
        {"topic": "mdm.Connect", "acknowledge_event": PART | {"command_uuid": ["x"]}},
        {"topic": "mdm.Connect", "acknowledge_event": PART | {"status": "x" * 65}},
    ],
    ids=lambda members: str(members)[:60],
)
def test_what_is_not_of_its_form_is_refused(site: Site, members: dict[str, Any]) -> None:
    with pytest.raises(MalformedRequest):
        take(site, an_event(site, **members))
    assert not is_known(site)


@pytest.mark.parametrize(
    "members",
    [
        {"topic": "mdm.SomethingNew", "checkin_event": None},
        {"checkin_event": PART | {"udid": None}},
        {"checkin_event": PART | {"ids": {"id": "x:y", "type": "User"}}},
        {"checkin_event": PART | {"user_id": "somebody"}},
        {"topic": None},
        {"topic": ["mdm.Connect"]},
    ],
    ids=str,
)
def test_what_is_of_no_interest_is_taken_and_does_nothing(site: Site, members: dict[str, Any]) -> None:
    take(site, an_event(site, **members))
    assert not is_known(site)


@pytest.mark.parametrize("command_uuid", ["nobody's", "", None])
@pytest.mark.parametrize("status", ["Idle", "Acknowledged", "NotNow", "Error", "CommandFormatError", "?"])
def test_answers_to_what_was_never_asked_do_nothing(
    site: Site, command_uuid: str | None, status: str
) -> None:
    part = PART | {"command_uuid": command_uuid, "status": status}
    take(site, an_event(site, topic="mdm.Connect", acknowledge_event=part))
    assert is_known(site)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ProfileList": "x"},
        {"ProfileList": [7, {}, {"PayloadIdentifier": 7}]},
        {"CertificateList": {}},
        {"CertificateList": [{"Data": "text", "IsIdentity": True}, {"IsIdentity": True}, []]},
        {"ErrorChain": "x"},
        {"ErrorChain": [7, {"LocalizedDescription": 7}]},
        {"QueryResponses": []},
        {"QueryResponses": {"ServiceSubscriptions": [7, {"IMEI": []}] * 1000}},
    ],
    ids=lambda answer: str(answer)[:60],
)
@pytest.mark.parametrize("status", ["Acknowledged", "Error"])
def test_lists_that_are_none_change_nothing_for_the_better(
    site: Site, answer: dict[str, Any], status: str
) -> None:
    device = site.enroll(udid=UDID)
    site.wish()
    site.carry(turns=1)  # now the lists are asked for
    site.carrier.carry_once()
    for name in site.server.queue.of(device.udid):
        said = raw(plistlib.dumps({"CommandUUID": name, "Status": status, "UDID": UDID} | answer))
        part = PART | {"command_uuid": name, "status": status, "raw_payload": said}
        event = an_event(site, topic="mdm.Connect", acknowledge_event=part, event_id=name)
        take(site, event)

    assert site.state() not in {"installed", "removed"}


@pytest.mark.parametrize(
    "content", [BOMB, OUTSIDE, DEEP, b"bplist00" + b"\xff" * 100, b"bplist00", b"\x00" * 10]
)
def test_no_property_list_raises_anything_but_a_refusal(content: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_plist(content)


@pytest.mark.parametrize("size", range(0, 400, 7))
def test_binary_property_lists_that_are_cut_or_bent_are_refused(size: int) -> None:
    whole = plistlib.dumps({"UDID": "x", "a": [1, 2.5, b"x" * 50, {"b": True}] * 5}, fmt=plistlib.FMT_BINARY)
    for content in (whole[:size], whole[:size] + b"\xff\x00" + whole[size + 2 :]):
        try:
            found = read_plist(content)
        except Refusal as refusal:
            assert isinstance(refusal, MalformedRequest)
        else:
            assert isinstance(found, dict)
