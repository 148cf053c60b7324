"""Promise P32: whoever alters by hand where keys are sent, or which device has an identity, gets no key.

On both databases; an administrator sees why nothing is sent, and `bulkcert check` names the rows.
"""

from typing import Any

import pytest
import sqlalchemy as sa

from bulkcert.deployments.mdm.assembly import make_carrier
from bulkcert.errors.mdm import MdmForged, NoContest
from bulkcert.store.tables.deployments import deployments
from bulkcert.store.tables.mdm import mdm_commands, mdm_identities, mdm_servers
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import DeploymentState
from bulkcert.values.secret import Secret
from bulkcert.wiring.proofs import bind_keys, find_forged
from tests.deployments.mdm.nanomdm.devices import Device
from tests.deployments.mdm.site import A, B, Site, any_site_fixture  # noqa: F401

SERVER, PIN = "MDM server nanomdm", f"pin SERIAL_NUMBER {A}"
IDENTITY = DeviceIdentity(IdentityType.SERIAL_NUMBER, A)
OF_A = mdm_identities.c.identity == A


@pytest.fixture(name="site")
def site_fixture(any_site: Site) -> Site:
    return any_site


def execute(site: Site, statement: sa.Executable) -> None:
    with site.verbs.store.engine.begin() as connection:
        connection.execute(statement)


def forged(site: Site) -> list[str]:
    return list(find_forged(site.verbs.store, site.verbs.vault, site.clock()))


def installs(*devices: Device) -> int:
    return sum(len(device.given("InstallProfile")) for device in devices)


def mac_of_b() -> sa.ScalarSelect[Any]:
    other = mdm_identities.alias()
    return sa.select(other.c.mac).where(other.c.identity == B).scalar_subquery()


def test_what_the_service_writes_itself_is_not_forged(site: Site) -> None:
    device = site.enroll()
    site.wish()
    site.carry()
    assert site.state() is DeploymentState.INSTALLED
    other = site.enroll()  # another device that says it has this serial number
    assert forged(site) == []
    site.mdm.devices.confirm(IDENTITY, other.udid, "somebody")
    assert forged(site) == []
    site.carry()
    assert (installs(device), installs(other)) == (1, 1)


def test_p32_nothing_is_sent_to_an_altered_address(site: Site) -> None:
    device = site.enroll()
    site.carry()
    url = site.server.url
    execute(site, sa.update(mdm_servers).values(url="http://127.0.0.1:9"))
    site.wish()
    site.carry()

    assert installs(device) == 0
    assert (site.state(), site.deployment().error_code) == (DeploymentState.PENDING, "mdm_forged")
    with pytest.raises(MdmForged):
        site.mdm.servers.find()
    assert site.mdm.servers.is_set()
    assert forged(site) == [SERVER]
    site.new_carrier()  # a deployer that is started now says the same, and does not end
    assert not site.carrier.carry_once()

    site.mdm.servers.set(url, Secret(b"an api key"), Secret(b"an hmac key"), "somebody")
    assert forged(site) == []
    site.later(60)
    site.carry()
    assert (site.state(), installs(device)) == (DeploymentState.INSTALLED, 1)
    assert site.deployment().error_code is None


@pytest.mark.parametrize("column", ["sealed_api_key", "sealed_webhook_key", "mac"])
def test_p32_no_part_of_a_servers_row_can_be_altered(site: Site, column: str) -> None:
    execute(site, sa.update(mdm_servers).values({column: "x" if column == "mac" else b"x"}))

    assert forged(site) == [SERVER]
    assert not site.carrier.carry_once()


def test_p32_webhooks_are_refused_as_if_no_server_were_set(site: Site) -> None:
    execute(site, sa.update(mdm_servers).values(url="http://127.0.0.1:9"))
    site.enroll()

    assert {refusal.code for refusal in site.refusals} == {"not_found"}


@pytest.mark.parametrize("with_mac", [False, True], ids=["its own MAC", "the MAC of another"])
def test_p32_no_key_is_sent_to_another_device_than_the_pinned_one(site: Site, with_mac: bool) -> None:
    device, other = site.enroll(), site.enroll(B)
    site.carry()
    values: dict[str, Any] = {"udid": other.udid} | ({"mac": mac_of_b()} if with_mac else {})
    execute(site, sa.update(mdm_identities).where(OF_A).values(values))
    site.wish()
    site.carry()

    assert installs(device, other) == 0
    assert (site.state(), site.deployment().error_code) == (DeploymentState.FAILED, "mdm_forged")
    assert forged(site) == [PIN]
    with pytest.raises(NoContest):  # it never said that it has this serial number
        site.mdm.devices.confirm(IDENTITY, other.udid, "somebody")

    site.mdm.devices.confirm(IDENTITY, device.udid, "somebody")
    assert forged(site) == []
    site.later()
    site.carry()
    assert (site.state(), installs(device), installs(other)) == (DeploymentState.INSTALLED, 1, 0)


def test_p32_a_pin_by_hand_is_none(site: Site) -> None:
    other = site.enroll(B)
    site.carry()
    row = {"identity_type": "SERIAL_NUMBER", "identity": A, "udid": other.udid, "pinned_at": site.clock()}
    execute(site, sa.insert(mdm_identities).values(row))
    site.wish()
    site.carry()

    assert installs(other) == 0
    assert forged(site) == [PIN]


def test_p32_a_contest_is_not_ended_by_hand(site: Site) -> None:
    liar, device = site.enroll(), site.enroll()
    site.wish()
    site.carry()
    execute(site, sa.update(mdm_identities).where(OF_A).values(contender_udid=None))
    execute(site, sa.update(deployments).values(state="pending"))
    site.later()
    site.carry()

    assert installs(liar, device) == 0
    assert forged(site) == [PIN]


def test_p32_a_command_that_was_turned_to_another_device_takes_no_key_along(site: Site) -> None:
    device, other = site.enroll(), site.enroll(B)
    site.carry()
    site.wish()
    site.later(3)
    site.carrier._lease()
    execute(site, sa.update(mdm_commands).values(udid=other.udid))
    site.carry()

    assert installs(other) == 0
    site.later()
    site.carry()
    assert (site.state(), installs(device), installs(other)) == (DeploymentState.INSTALLED, 1, 0)


def test_p32_a_new_contender_does_not_sign_a_forged_pin(site: Site) -> None:
    site.enroll()
    execute(site, sa.update(mdm_identities).where(OF_A).values(udid="another"))
    site.enroll()

    assert forged(site) == [PIN]


def test_finishing_an_upgrade_signs_servers_and_pins(site: Site) -> None:
    from bulkcert.integrity.demand import CHECK, Demand, seal_check

    with site.verbs.store.writing() as tx:
        tx.keys.insert_check(CHECK, seal_check(site.verbs.vault, Demand.KEYS))
    device = site.enroll()
    for table in (mdm_servers, mdm_identities):
        execute(site, sa.update(table).values(mac=None))
    site.wish()
    site.carry()
    assert installs(device) == 1
    bind_keys(site.verbs.store, site.verbs.vault)

    assert forged(site) == []
    execute(site, sa.update(mdm_servers).values(mac=None))
    assert forged(site) == [SERVER]
    make_carrier(site.verbs.store, site.verbs.vault, site.profile_release, site.clock, site.rules).close()
