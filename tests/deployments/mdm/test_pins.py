"""Devices say who they are; the first to say it is believed, and a second one is for people to decide."""

import base64
import json
import plistlib
from typing import Any

import pytest

from bulkcert.errors.mdm import NoContest
from bulkcert.values.events import EventType
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.mdm import Pin
from bulkcert.values.policies import DeploymentState
from tests.deployments.mdm.site import A, B, Site, any_site_fixture, site_fixture  # noqa: F401

IMEI, SECOND_IMEI, MEID = "356938035643809", "490154203237518", "A10000009296F2"
CONFLICT, INSTALLED = DeploymentState.CONFLICT, DeploymentState.INSTALLED


def serial(value: str = A) -> DeviceIdentity:
    return DeviceIdentity(IdentityType.SERIAL_NUMBER, value)


def pin_of(site: Site, identity: DeviceIdentity) -> Pin | None:
    with site.verbs.store.reading() as tx:
        return tx.mdm.pinned(identity)


@pytest.mark.parametrize(
    ("identity_type", "value", "fields"),
    [
        ("SERIAL_NUMBER", A, {}),
        ("IMEI", IMEI, {"imei": "35 693803 564380 9"}),
        ("MEID", MEID, {"meid": "a1-000000-9296f2"}),
        ("IMEI", IMEI, {"imei": "35 693803 564380 9", "top_level_imei": False}),
        ("MEID", MEID, {"meid": "a1-000000-9296f2", "top_level_imei": False}),
    ],
)
def test_a_device_is_known_by_what_it_says(
    site: Site, identity_type: str, value: str, fields: dict[str, Any]
) -> None:
    device = site.enroll(**fields)
    site.carry()

    found = pin_of(site, DeviceIdentity(IdentityType(identity_type), value))
    assert found is not None
    assert (found.udid, found.contender_udid) == (device.udid, None)


def test_a_device_that_was_enrolled_before_is_asked_who_it_is(site: Site) -> None:
    url, site.server.webhooks.url = site.server.webhooks.url, None
    device = site.enroll(imei="35 693803 564380 9")
    site.server.webhooks.url = url
    site.server.update_token(device)
    site.server.webhooks.drain()
    assert pin_of(site, serial()) is None
    site.carry()

    for identity in (serial(), DeviceIdentity(IdentityType.IMEI, IMEI)):
        found = pin_of(site, identity)
        assert found is not None
        assert found.udid == device.udid


def test_a_device_is_asked_once_a_day_at_most(site: Site) -> None:
    device = site.enroll(errors={"DeviceInformation": "no"})
    for _ in range(5):
        site.carry()
        site.server.update_token(device)
        site.server.webhooks.drain()
    assert len(device.given("DeviceInformation")) == 1
    site.later(24 * 3600)
    site.server.update_token(device)
    site.server.webhooks.drain()
    site.carry()
    assert len(device.given("DeviceInformation")) == 2


@pytest.mark.parametrize(
    "said", [{}, {"SerialNumber": 7, "IMEI": "not one", "MEID": ["x"]}, {"IMEI": "0" * 70}]
)
def test_what_is_no_identity_is_not_learned(site: Site, said: dict[str, Any]) -> None:
    site.server.webhooks.send("mdm.Authenticate", checkin_event=a_check_in("UDID-0001", said))
    site.server.webhooks.drain()

    assert site.refusals == []
    assert site.events(EventType.DEVICE_PINNED) == []


def a_check_in(udid: str, said: dict[str, Any]) -> dict[str, Any]:
    raw = plistlib.dumps({"MessageType": "Authenticate", "UDID": udid} | said)
    return {
        "ids": {"id": udid, "type": "Device"},
        "udid": udid,
        "raw_payload": base64.b64encode(raw).decode(),
    }


def contest(site: Site, **fields: Any) -> tuple[Any, Any]:
    honest = site.enroll()
    site.wish()
    site.carry()
    return honest, site.enroll(**fields)


def test_a_second_device_of_an_identity_puts_its_deployments_in_conflict(any_site: Site) -> None:
    site = any_site
    honest, liar = contest(site)
    site.carry()

    assert site.state() is CONFLICT
    assert {honest.udid, liar.udid} <= set((site.deployment().error_detail or "").replace(".", " ").split())
    assert liar.installs == {}
    [pinned] = site.events(EventType.DEVICE_PINNED)
    assert pinned["udid"] == honest.udid
    [told] = site.events(EventType.DEVICE_CONTESTED)
    assert (told["udid"], told["contender_udid"], told["deployments"]) == (honest.udid, liar.udid, 1)
    assert [each.contender_udid for each in site.mdm.devices.contested(10, None).items] == [liar.udid]


def test_what_is_wished_while_an_identity_is_contested_waits_too(site: Site) -> None:
    honest, liar = contest(site)
    site.wish(A, name="Another policy")
    for _ in range(3):
        site.carry()
        site.later()

    assert [list(each.installs.values()) for each in (honest, liar)] == [[1], []]
    assert DeploymentState.PENDING in site.states()


@pytest.mark.parametrize("who", ["honest", "liar"])
def test_whoever_is_confirmed_is_deployed_to(site: Site, who: str) -> None:
    both = dict(zip(("honest", "liar"), contest(site), strict=True))
    chosen = both.pop(who)
    [other] = both.values()
    site.mdm.devices.confirm(serial(), chosen.udid, "somebody")
    site.carry()

    assert site.state() is INSTALLED
    assert chosen.profiles
    [told] = site.events(EventType.DEVICE_CONFIRMED)
    assert (told["udid"], told["refused_udid"]) == (chosen.udid, other.udid)
    assert site.mdm.devices.contested(10, None).items == ()
    for _ in range(2):  # what was decided against is no news
        site.later()
        site.server.check_in(other)
        site.server.webhooks.drain()
    site.carry()
    assert site.state() is INSTALLED
    assert len(site.events(EventType.DEVICE_CONTESTED)) == 1


@pytest.mark.parametrize("udid", ["", "UDID-OF-NOBODY"])
def test_only_a_device_that_claims_an_identity_can_be_confirmed(site: Site, udid: str) -> None:
    contest(site)
    with pytest.raises(NoContest):
        site.mdm.devices.confirm(serial(), udid, "somebody")
    with pytest.raises(NoContest):
        site.mdm.devices.confirm(serial(B), udid, "somebody")
    assert site.state() is CONFLICT


def test_an_imei_is_contested_like_a_serial_number(site: Site) -> None:
    site.enroll(imei="35 693803 564380 9")
    site.enroll(B, imei="356938035643809")

    [told] = site.events(EventType.DEVICE_CONTESTED)
    assert (told["identity_type"], told["identity"]) == ("IMEI", IMEI)


def test_a_contest_ends_what_is_under_way(site: Site) -> None:
    device = site.enroll()
    site.carry()
    device.online = False
    site.wish()
    site.carry()
    site.enroll()
    device.online = True
    site.carry()

    assert site.state() is CONFLICT
    site.mdm.devices.confirm(serial(), device.udid, "somebody")
    site.carry()
    assert site.state() is INSTALLED
    assert list(device.installs.values()) == [1]


def test_a_device_cannot_answer_for_another(site: Site) -> None:
    device, liar = site.enroll(A), site.enroll(B)
    site.carry()
    device.online = False
    site.wish(A)
    site.carry()
    [name] = site.server.queue.of(device.udid)
    raw = plistlib.dumps({"CommandUUID": name, "Status": "Acknowledged", "UDID": device.udid})
    answer = {
        "command_uuid": name,
        "ids": {"id": liar.udid, "type": "Device"},
        "raw_payload": base64.b64encode(raw).decode(),
        "status": "Acknowledged",
        "udid": liar.udid,
    }
    site.server.webhooks.send("mdm.Connect", acknowledge_event=answer)
    site.server.webhooks.drain()

    assert site.refusals == []
    assert site.state() is DeploymentState.LEASED
    assert json.loads(site.server.webhooks.log[-1].body)["acknowledge_event"]["udid"] == liar.udid
