"""The checker itself: it must find what is wrong, or its silence means nothing."""

import copy
import plistlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.deployments.profiles.apple_schema import read_profile
from tests.deployments.profiles.devices import a_device, a_key, pkcs8
from tests.deployments.profiles.test_profile import a_maker, a_policy

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def sound() -> dict[str, Any]:
    profile = a_maker().make(a_policy(), "p1", a_device(), pkcs8(a_key("ECDSA256")))
    content: dict[str, Any] = plistlib.loads(profile.reveal())
    return content


def vpn(profile: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = profile["PayloadContent"][-1]
    return payload


def tunnel(profile: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = vpn(profile)["AlwaysOn"]["TunnelConfigurations"][0]
    return first


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda p: p.pop("PayloadUUID"), "/PayloadUUID: is required"),
        (lambda p: p.update(PayloadScope="System"), "/PayloadScope: is no key of Apple's"),
        (lambda p: p.update(PayloadRemovalDisallowed=1), "/PayloadRemovalDisallowed: is int, not bool"),
        (lambda p: p.update(PayloadUUID=p["PayloadUUID"].lower()), "is not in the usual form"),
        (lambda p: p.update(PayloadIdentifier="x"), "is not reverse DNS"),
        (lambda p: vpn(p).update(PayloadUUID=p["PayloadUUID"]), "PayloadUUID: stands twice"),
        (lambda p: vpn(p).update(PayloadIdentifier=p["PayloadIdentifier"]), "PayloadIdentifier: stands twice"),
        (lambda p: vpn(p).update(PayloadType="com.apple.wifi.managed"), "com.apple.wifi.managed"),
        (lambda p: vpn(p).update(VPNType="IKEv2"), "VPNType: the dictionary of the type"),
        (lambda p: vpn(p)["AlwaysOn"].update(UIToggleEnabled=False), "UIToggleEnabled: is bool, not int"),
        (lambda p: vpn(p)["AlwaysOn"].update(TunnelConfigurations=[]), "TunnelConfigurations: is empty"),
        (lambda p: vpn(p)["AlwaysOn"]["TunnelConfigurations"].append(tunnel(p)), "each must have one tunnel"),
        (lambda p: tunnel(p).update(Interfaces=["WiFi"]), "each must have one tunnel"),
        (lambda p: tunnel(p).update(Interfaces=["Ethernet"]), "Interfaces/0: 'Ethernet' is not among"),
        (lambda p: tunnel(p).pop("ProtocolType"), "ProtocolType: is required"),
        (lambda p: tunnel(p).update(EnablePFS=True), "EnablePFS: is bool, not int"),
        (lambda p: tunnel(p).update(MTU=1500), "MTU: 1500 is out of range"),
        (lambda p: tunnel(p).update(NATKeepAliveInterval=10), "NATKeepAliveInterval: 10 is out of range"),
        (lambda p: tunnel(p).update(RemoteAddress=""), "RemoteAddress: is empty"),
        (lambda p: tunnel(p).update(AuthenticationMethod="SharedSecret"), "is not among"),
        (lambda p: tunnel(p).update(PayloadCertificateUUID=p["PayloadUUID"]), "names no identity payload"),
        (lambda p: tunnel(p).update(CertificateType="RSA"), "CertificateType: is not that of the key"),
        (lambda p: tunnel(p).update(CertificateType="ECDSA384"), "CertificateType: is not that of the key"),
        (lambda p: tunnel(p).update(LocalIdentifier="other"), "LocalIdentifier: does not stand"),
        (lambda p: tunnel(p)["IKESecurityAssociationParameters"].update(DiffieHellmanGroup=5), "14 or higher"),
        (lambda p: tunnel(p)["ChildSecurityAssociationParameters"].update(DiffieHellmanGroup=5), "14 or higher"),
        (lambda p: tunnel(p)["IKESecurityAssociationParameters"].update(LifeTimeInMinutes=9), "out of range"),
        (lambda p: p["PayloadContent"][0].update(Password="other"), "does not open with its Password"),
        (lambda p: p["PayloadContent"][0].pop("Password"), "Password: is required"),
        (lambda p: p["PayloadContent"][0].update(PayloadContent="text"), "is str, not bytes"),
    ],
)  # fmt: skip
def test_the_checker_finds_what_is_wrong(sound: dict[str, Any], change: Change, fault: str) -> None:
    profile = copy.deepcopy(sound)
    change(profile)
    [found] = [each for each in read_profile(plistlib.dumps(profile)).faults if fault in each]

    assert read_profile(plistlib.dumps(sound)).faults == []
    assert fault in found
