"""What becomes of a deployment over several turns: removals, conflicts, and faults that must not spread."""

import base64
import contextlib
import hashlib
import hmac
import json
import plistlib
import socket
import threading
import uuid

import pytest

from bulkcert.deployments.mdm.nanomdm_client import NanoMdm
from bulkcert.deployments.mdm.server_settings import Address
from bulkcert.errors.mdm import MdmFault
from bulkcert.errors.policies import OtherCertificate
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import DeploymentState as State
from bulkcert.values.secret import Secret
from tests.builders import a_bundle
from tests.deployments.mdm.site import HMAC_KEY, A, B, Site, any_site_fixture, policy, site_fixture  # noqa: F401

SERIAL = IdentityType.SERIAL_NUMBER


def delete(site: Site, *, removes: bool) -> None:
    site.verbs.deletions.delete([A], SERIAL, site.verbs.caller, removes=removes)


def tell(site: Site, topic: str, **event: object) -> None:
    """Send a webhook that the server signed."""
    facts = {"topic": topic, "event_id": str(uuid.uuid4()), "created_at": site.clock.now.isoformat()}
    body = json.dumps(facts | event).encode()
    signature = hmac.new(HMAC_KEY.encode(), body, hashlib.sha256).digest()
    site.mdm.take(body, base64.b64encode(signature).decode())


def test_one_key_that_does_not_unseal_fails_alone(site: Site) -> None:
    site.wish(A, B)
    site.enroll(A)
    site.enroll(B)
    with site.verbs.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE certificates SET sealed_private_key = zeroblob(200) WHERE identity = ?", (A,)
        )
    site.carry()

    assert site.state(B) is State.INSTALLED
    assert site.state(A) is State.FAILED


def test_a_removal_is_wanted_where_the_profile_still_waits_at_the_server(any_site: Site) -> None:
    site = any_site
    site.wish(A)
    device = site.enroll(A)
    site.tick()
    device.online = False
    site.carry()
    site.verbs.import_bundle(a_bundle([A]))  # pending again, with no attempt yet
    delete(site, removes=True)
    assert site.state() is State.REMOVING
    device.online = True
    for _ in range(4):
        site.carry()
        site.later(700)

    assert not device.profiles


def test_only_an_administrator_ends_a_conflict(any_site: Site) -> None:
    site = any_site
    site.wish(A)
    site.enroll(A)
    site.carry()
    site.enroll(A)
    site.carry()
    assert site.state() is State.CONFLICT
    site.verbs.import_bundle(a_bundle([A]))

    assert site.leases.lease(10, 60, "somebody's feed") == []
    assert site.state() is State.CONFLICT


def test_a_claim_that_was_decided_against_is_not_heard_again(any_site: Site) -> None:
    site = any_site
    site.wish(A)
    first = site.enroll(A)
    site.carry()
    second = site.enroll(A)
    site.carry()
    site.mdm.devices.confirm(DeviceIdentity(SERIAL, A), first.udid, "somebody")
    site.carry()
    for serial in ("ZZZZZZZZZZZ1", A):
        payload = base64.b64encode(plistlib.dumps({"SerialNumber": serial})).decode()
        tell(site, "mdm.Authenticate", checkin_event={"udid": second.udid, "raw_payload": payload})

    assert site.state() is State.INSTALLED


def test_an_error_code_of_any_length_is_an_answer(site: Site) -> None:
    site.wish(A)
    device = site.enroll(A)
    site.tick()
    device.online = False
    site.carry()
    with site.verbs.store.engine.connect() as connection:
        [command] = connection.exec_driver_sql(
            "SELECT uuid FROM mdm_commands WHERE request_type = 'InstallProfile'"
        ).scalars()
    code = b"0x" + b"f" * 5000
    payload = (
        b'<?xml version="1.0"?><plist version="1.0"><dict><key>ErrorChain</key><array><dict>'
        b"<key>ErrorDomain</key><string>d</string><key>ErrorCode</key><integer>" + code + b"</integer>"
        b"</dict></array></dict></plist>"
    )
    answer = {
        "udid": device.udid,
        "command_uuid": command,
        "status": "Error",
        "raw_payload": base64.b64encode(payload).decode(),
    }
    tell(site, "mdm.Connect", acknowledge_event=answer)

    assert site.state() is State.FAILED


def test_what_was_left_on_a_device_can_be_taken_off_later(any_site: Site) -> None:
    site = any_site
    policy_id = site.wish(A)
    device = site.enroll(A)
    site.carry()
    delete(site, removes=False)
    assert site.state() is State.SUPERSEDED
    site.policies.delete(policy_id, site.verbs.caller, removes=True)
    site.carry()

    assert (site.state(), device.profiles) == (State.REMOVED, {})


def test_a_wanted_removal_outlives_a_change_of_the_policy(any_site: Site) -> None:
    site = any_site
    policy_id = site.wish(A)
    site.enroll(A)
    site.carry()
    delete(site, removes=True)
    [lease] = site.leases.lease(10, 60, "feed")
    with pytest.raises(OtherCertificate):
        site.leases.report_delivered(lease.deployment.id, lease.token, "feed", 60)
    site.policies.replace(policy_id, policy(issuer="nobody"), site.verbs.caller)

    assert site.state() is State.REMOVING


def test_a_contested_removal_outlives_a_change_of_the_policy(any_site: Site) -> None:
    site = any_site
    policy_id = site.wish(A)
    device = site.enroll(A)
    site.carry()
    device.online = False
    delete(site, removes=True)
    site.enroll(A)
    site.policies.replace(policy_id, policy(issuer="nobody"), site.verbs.caller)

    assert site.state() is not State.SUPERSEDED


def test_only_what_is_still_stuck_is_retried(any_site: Site) -> None:
    site = any_site
    site.wish(A)
    site.enroll(A)
    site.carry()
    delete(site, removes=False)
    with site.verbs.store.writing() as tx:
        assert tx.deployments.retry(site.deployment().id, State.FAILED, site.clock()) is False

    assert site.state() is State.SUPERSEDED


def test_a_server_that_drips_header_bytes_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
                    while not stop.wait(0.1):
                        connection.sendall(b"a")
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        port = server.getsockname()[1]
        client = NanoMdm(Address(False, "127.0.0.1", port, ""), Secret(b"key"), seconds=0.5)  # type: ignore[arg-type]
        given_up = threading.Event()

        def push() -> None:
            with contextlib.suppress(MdmFault):
                client.push(["A"])
            given_up.set()

        threading.Thread(target=push, daemon=True).start()
        assert given_up.wait(30)
        stop.set()
