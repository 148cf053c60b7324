"""The MDM server's webhooks are NanoMDM's, and are spoiled as a test wants it."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import plistlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.builders import a_ca
from tests.deployments.mdm.builders import (  # noqa: F401
    HMAC_KEY,
    SERIAL,
    Receiver,
    a_command,
    ask,
    mdm_fixture,
    receiver_fixture,
)
from tests.deployments.mdm.nanomdm.server import MdmServer


def test_an_enrolment_is_told_as_nanomdm_tells_it(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL, imei="35 693803 564380 9", meid="A10000009296F2")
    mdm.webhooks.drain()
    authenticate, token_update = receiver.events
    assert list(authenticate) == ["checkin_event", "created_at", "event_id", "topic"]
    assert (authenticate["topic"], token_update["topic"]) == ("mdm.Authenticate", "mdm.TokenUpdate")
    assert authenticate["checkin_event"].pop("raw_payload")
    ids = {"ids": {"id": device.udid, "type": "Device"}, "udid": device.udid}
    assert authenticate["checkin_event"] == ids
    assert token_update["checkin_event"]["token_update_tally"] == 1
    raw = plistlib.loads(base64.b64decode(receiver.events[0]["checkin_event"]["raw_payload"]))
    names = ["MessageType", "UDID", "SerialNumber", "IMEI", "MEID"]
    assert [raw[name] for name in names] == ["Authenticate", device.udid, SERIAL, device.imei, device.meid]


def test_a_webhook_is_signed_over_its_bytes(mdm: MdmServer, receiver: Receiver) -> None:
    mdm.enroll(serial=SERIAL)
    mdm.webhooks.drain()
    for body, signature in receiver.taken:
        digest = hmac.new(HMAC_KEY.encode(), body, hashlib.sha256).digest()
        assert signature == base64.b64encode(digest).decode()


def test_an_answer_is_told_with_its_idle_before_it(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL)
    ask(mdm, receiver, device, a_command("ProfileList", "c-1"))
    idle, acknowledged = (event["acknowledge_event"] for event in receiver.events[2:])
    assert (idle["status"], "command_uuid" in idle) == ("Idle", False)
    members = ["command_uuid", "ids", "raw_payload", "status", "udid"]
    assert list(acknowledged) == members
    assert [acknowledged[name] for name in ("command_uuid", "status", "udid")] == [
        "c-1",
        "Acknowledged",
        device.udid,
    ]


def test_a_webhook_that_meets_nobody_is_lost(receiver: Receiver) -> None:
    with MdmServer(webhook_url="http://127.0.0.1:9/", hmac_key=HMAC_KEY) as mdm:
        mdm.enroll(serial=SERIAL)
        mdm.webhooks.drain()
        mdm.webhooks.url = receiver.url
        mdm.enroll(serial="B12BC3D4EFGH")
        mdm.webhooks.drain()
        assert mdm.webhooks.outcomes() == {"lost": 2, "accepted": 2}
    assert len(receiver.taken) == 2


def test_a_webhook_that_is_refused_is_not_sent_again(mdm: MdmServer, receiver: Receiver) -> None:
    receiver.status = 503
    mdm.enroll(serial=SERIAL)
    mdm.webhooks.drain()
    assert mdm.webhooks.outcomes() == {"refused": 2}
    assert len(receiver.taken) == 2


@pytest.mark.parametrize(
    ("faults", "tallies"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"drop_every": 3}, [1, 3, 4]),  # events 3 and 6 of the six; Authenticate is the first
        ({"duplicate_every": 3}, [1, 2, 2, 3, 4, 5, 5]),
        ({"window": 3}, [2, 1, 5, 4, 3]),
    ],
)
def test_webhooks_are_dropped_doubled_and_disordered(
    mdm: MdmServer, receiver: Receiver, faults: dict[str, Any], tallies: list[int]
) -> None:
    for name, value in faults.items():
        setattr(mdm.webhooks.faults, name, value)
    device = mdm.enroll(serial=SERIAL)
    for _ in range(4):
        mdm.update_token(device)
    mdm.webhooks.drain()
    told = [event["checkin_event"].get("token_update_tally") for event in receiver.events]
    assert [tally for tally in told if tally] == tallies


def test_a_webhook_can_be_forged_stale_or_replayed(mdm: MdmServer, receiver: Receiver) -> None:
    mdm.webhooks.faults.wrong_hmac_every = 2
    mdm.webhooks.faults.age_seconds = 3600
    mdm.enroll(serial=SERIAL)
    mdm.webhooks.drain()
    (body, signature), (forged_body, forged) = receiver.taken
    assert signature == mdm.webhooks.sign(body)
    assert forged != mdm.webhooks.sign(forged_body)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(json.loads(body)["created_at"])
    assert dt.timedelta(seconds=3600) <= age < dt.timedelta(seconds=3660)
    assert mdm.webhooks.replay(mdm.webhooks.log[0]) == 200
    assert mdm.webhooks.post(b"garbage", None) == 200
    assert receiver.taken[2:] == [(body, signature), (b"garbage", None)]


def test_webhooks_go_to_https_too(tmp_path: Path, receiver: Receiver) -> None:
    key, chain = tmp_path / "key.pem", tmp_path / "certificate.pem"
    certificate, private_key = a_ca()
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(private_key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    at_receiver = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at_receiver.load_cert_chain(chain, key)
    receiver.server.socket = at_receiver.wrap_socket(receiver.server.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=str(chain))
    trusting.check_hostname = False
    with MdmServer(webhook_url=receiver.url.replace("http:", "https:"), tls=trusting) as mdm:
        mdm.enroll(serial=SERIAL)
        mdm.webhooks.drain()
        assert mdm.webhooks.outcomes() == {"accepted": 2}
        mdm.webhooks.tls = ssl.create_default_context()
        mdm.enroll(serial=SERIAL)
        mdm.webhooks.drain()
        assert mdm.webhooks.outcomes() == {"accepted": 2, "lost": 2}
