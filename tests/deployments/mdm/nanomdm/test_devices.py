"""The MDM server's devices answer as Apple's do."""

import base64
import hashlib
import itertools
import plistlib
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.builders import a_ca, a_pkcs12
from tests.deployments.mdm.builders import (  # noqa: F401
    KEY,
    SERIAL,
    Receiver,
    a_command,
    a_profile,
    an_install,
    ask,
    enqueue,
    mdm_fixture,
    receiver_fixture,
)
from tests.deployments.mdm.nanomdm.profiles import KeptCertificate
from tests.deployments.mdm.nanomdm.server import MdmServer


def test_an_installed_profile_is_listed_with_its_certificates(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL)
    assert ask(mdm, receiver, device, an_install(a_profile()))["Status"] == "Acknowledged"
    [profile] = ask(mdm, receiver, device, a_command("ProfileList", ManagedOnly=True))["ProfileList"]
    assert (profile["PayloadIdentifier"], profile["IsManaged"]) == ("vpn", True)
    assert [part["PayloadUUID"] for part in profile["PayloadContent"]] == ["identity", "root", "vpn"]
    certificates = ask(mdm, receiver, device, a_command("CertificateList"))["CertificateList"]
    assert [(one["CommonName"], one["IsIdentity"]) for one in certificates] == [
        (SERIAL, True),
        ("Test CA (test only)", False),
    ]
    assert x509.load_der_x509_certificate(certificates[0]["Data"])
    assert device.installs == {"vpn": 1}
    assert device.certificate_installs == {hashlib.sha256(certificates[0]["Data"]).hexdigest(): 1}
    assert [given.request_type for given in device.commands] == [
        "InstallProfile",
        "ProfileList",
        "CertificateList",
    ]


def test_a_new_profile_replaces_the_one_of_its_identifier(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL)
    first, second, other = a_profile(), a_profile(), a_profile(identifier="other")
    for profile in (first, second, other, second):
        assert ask(mdm, receiver, device, an_install(profile))["Status"] == "Acknowledged"
    assert device.installs == {"vpn": 3, "other": 1}
    assert sorted(device.certificate_installs.values()) == [1, 1, 2]  # the same once more is seen
    assert len([one for one in device.certificates if one.is_identity]) == 2
    assert device.profiles["vpn"].payload == second


def test_a_removed_profile_takes_its_certificates_along(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL)
    mine = KeptCertificate(
        a_ca()[0].public_bytes(serialization.Encoding.DER), is_identity=False, is_managed=False
    )
    device.other_certificates.append(mine)
    ask(mdm, receiver, device, an_install(a_profile()))
    assert (
        ask(mdm, receiver, device, a_command("RemoveProfile", Identifier="vpn"))["Status"] == "Acknowledged"
    )
    assert (device.certificates, device.removals) == ([mine], {"vpn": 1})
    assert len(ask(mdm, receiver, device, a_command("CertificateList"))["CertificateList"]) == 1
    assert ask(mdm, receiver, device, a_command("CertificateList", ManagedOnly=True))["CertificateList"] == []
    again = ask(mdm, receiver, device, a_command("RemoveProfile", Identifier="vpn"))
    assert (again["Status"], again["ErrorChain"][0]["ErrorDomain"]) == ("Error", "MCMDMErrorDomain")


INCORRECT = "The password for the certificate “vpn.identity” is incorrect."


@pytest.mark.parametrize(
    ("fields", "profile", "text"),
    [
        ({}, a_profile(password="wrong"), INCORRECT),
        ({"reads_modern_pkcs12": False}, a_profile(a_pkcs12(password="secret")), INCORRECT),
        ({"supervised": False}, a_profile(), "The profile requires a supervised device."),
        ({}, a_profile(names="nothing"), "The identity certificate {'nothing'} could not be found."),
        ({}, b"garbage", "The profile is invalid."),
        ({}, plistlib.dumps({"PayloadContent": ["x"]}), "The profile is invalid."),
        ({"errors": {"InstallProfile": "The disk is full."}}, a_profile(), "The disk is full."),
    ],
)
def test_what_a_device_cannot_install_it_refuses_and_keeps_the_old(
    mdm: MdmServer, receiver: Receiver, fields: dict[str, Any], profile: bytes, text: str
) -> None:
    device = mdm.enroll(serial=SERIAL)
    ask(mdm, receiver, device, an_install(a_profile()))
    kept = device.certificates
    for name, value in fields.items():
        setattr(device, name, value)
    answer = ask(mdm, receiver, device, an_install(profile))
    assert (answer["Status"], answer["ErrorChain"][0]["LocalizedDescription"]) == ("Error", text)
    assert (device.certificates, device.installs["vpn"]) == (kept, 1)


@pytest.mark.parametrize(
    ("fields", "profile"),
    [
        ({}, a_profile(a_pkcs12(password="secret"))),
        ({"reads_modern_pkcs12": False}, a_profile()),
        ({"supervised": False}, a_profile(vpn_type="IKEv2")),
    ],
    ids=["a new device reads modern files", "an old one reads the old", "unsupervised without AlwaysOn"],
)
def test_what_a_device_can_install_it_takes(
    mdm: MdmServer, receiver: Receiver, fields: dict[str, Any], profile: bytes
) -> None:
    device = mdm.enroll(serial=SERIAL, **fields)
    assert ask(mdm, receiver, device, an_install(profile))["Status"] == "Acknowledged"


def test_a_signed_profile_is_read(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL)
    certificate, key = a_ca()
    builder = (
        pkcs7.PKCS7SignatureBuilder().set_data(a_profile()).add_signer(certificate, key, hashes.SHA256())
    )
    signed = builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    assert ask(mdm, receiver, device, an_install(signed))["Status"] == "Acknowledged"
    assert list(device.profiles) == ["vpn"]


def test_a_device_can_acknowledge_and_keep_nothing(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL, forgets_profiles=True)
    assert ask(mdm, receiver, device, an_install(a_profile()))["Status"] == "Acknowledged"
    assert ask(mdm, receiver, device, a_command("ProfileList"))["ProfileList"] == []
    assert ask(mdm, receiver, device, a_command("CertificateList"))["CertificateList"] == []


NUMBERS = {"IMEI": "356938035643809", "MEID": "A10000009296F2"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"UDID": "u", "SerialNumber": SERIAL, "IsSupervised": True}),
        (
            {"imei": NUMBERS["IMEI"], "meid": NUMBERS["MEID"], "supervised": False},
            {"IsSupervised": False, **NUMBERS},
        ),
        ({"imei": NUMBERS["IMEI"], "top_level_imei": False}, {"IMEI": None, "MEID": None}),
    ],
)
def test_device_information_says_what_is_asked(
    mdm: MdmServer, receiver: Receiver, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    device = mdm.enroll(serial=SERIAL, udid="u", **fields)
    queries = ["UDID", "SerialNumber", "IMEI", "MEID", "IsSupervised", "ServiceSubscriptions"]
    answer = ask(mdm, receiver, device, a_command("DeviceInformation", Queries=queries))["QueryResponses"]
    assert {name: answer.get(name) for name in expected} == expected
    assert [one["IMEI"] for one in answer.get("ServiceSubscriptions", [])] == (
        [device.imei] if device.imei else []
    )
    few = ask(mdm, receiver, device, a_command("DeviceInformation", Queries=["UDID"]))
    assert few["QueryResponses"] == {"UDID": "u"}


def test_an_unknown_command_is_an_error(mdm: MdmServer, receiver: Receiver) -> None:
    answer = ask(mdm, receiver, mdm.enroll(serial=SERIAL), a_command("FlyToTheMoon"))
    assert (answer["Status"], answer["ErrorChain"][0]["ErrorCode"]) == ("Error", 12021)


def test_after_not_now_the_others_come_first_and_the_refused_one_again(mdm: MdmServer) -> None:
    device = mdm.enroll(serial=SERIAL, not_now=1)
    for name in ("c-1", "c-2"):
        enqueue(mdm, device.udid, a_command("ProfileList", name))
    mdm.tick()
    told = [(given.command_uuid, given.status) for given in device.commands]
    assert told == [("c-1", "NotNow"), ("c-2", "Acknowledged"), ("c-1", "Acknowledged")]


def test_a_busy_device_is_offered_its_command_until_it_takes_it(mdm: MdmServer) -> None:
    device = mdm.enroll(serial=SERIAL, not_now=-1)
    enqueue(mdm, device.udid, a_command("ProfileList", "c-1"))
    assert [mdm.tick(), mdm.tick()] == [1, 1]  # one offer a session: no endless loop
    mdm.run_devices(poll_seconds=None)  # it comes back by itself, without a push
    mdm.wait(lambda: len(device.commands) > 3)
    device.not_now = 0
    mdm.wait(lambda: device.commands[-1].status == "Acknowledged")
    assert mdm.queue.of(device.udid) == []


def test_a_device_that_is_offline_comes_when_it_is_back(mdm: MdmServer) -> None:
    device = mdm.enroll(serial=SERIAL, online=False)
    enqueue(mdm, device.udid, a_command("ProfileList", "c-1"))
    assert mdm.tick() == 0
    device.online = True
    assert mdm.tick() == 1


def test_a_new_enrolment_drops_what_was_waiting(mdm: MdmServer) -> None:
    enqueue(mdm, "u", a_command(command_uuid="c-1"), "?nopush=1")  # queued before anybody had that id
    device = mdm.enroll(serial=SERIAL, udid="u")
    assert mdm.queue.of("u") == []
    enqueue(mdm, "u", a_command(command_uuid="c-2"))
    mdm.check_in(device)
    assert (mdm.queue.of("u"), device.token_updates) == ([], 2)


def test_a_device_that_left_is_unknown(mdm: MdmServer, receiver: Receiver) -> None:
    device = mdm.enroll(serial=SERIAL)
    ask(mdm, receiver, device, an_install(a_profile()))
    mdm.check_out(device)
    mdm.webhooks.drain()
    assert receiver.events[-1]["topic"] == "mdm.CheckOut"
    assert device.profiles == {}
    assert enqueue(mdm, device.udid, a_command()).status_code == 500


def test_a_liar_claims_the_serial_number_of_another(mdm: MdmServer, receiver: Receiver) -> None:
    honest = mdm.enroll(serial=SERIAL)
    liar = mdm.enroll(serial=SERIAL)
    mdm.webhooks.drain()
    raw = [
        plistlib.loads(base64.b64decode(event["checkin_event"]["raw_payload"])) for event in receiver.events
    ]
    told = {one["UDID"]: one["SerialNumber"] for one in raw if one["MessageType"] == "Authenticate"}
    assert told == {honest.udid: SERIAL, liar.udid: SERIAL}


def test_two_hundred_devices_install_once_each(mdm: MdmServer, receiver: Receiver) -> None:
    devices = [mdm.enroll(serial=f"SERIAL{number:04}") for number in range(200)]
    mdm.run_devices()
    profile = a_profile()
    with requests.Session() as session:
        session.auth = ("nanomdm", KEY)
        for device in devices:
            session.put(f"{mdm.url}/v1/enqueue/{device.udid}", data=an_install(profile), timeout=5)
    mdm.wait(lambda: all(device.profiles for device in devices), 30)
    mdm.stop_devices()
    mdm.webhooks.drain(30)
    assert [device.installs for device in devices] == [{"vpn": 1}] * 200
    assert mdm.webhooks.outcomes() == {"accepted": 200 * 4}
    statuses = [event.get("acknowledge_event", {}).get("status") for event in receiver.events]
    assert statuses.count("Acknowledged") == 200
    times = [request.at for request in mdm.requests]
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
