"""The whole way: a bundle goes in, a deployer gets a profile over HTTP, and a real IKEv2 tunnel comes up from it.

The client is configured from the profile alone (tests/live/vpn_profile.py); gateway and client are strongSwan, each
in a network namespace of its own.
"""

import plistlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from tests.builders import a_bundle, a_ca, a_certificate, a_pkcs12, an_ec_key, an_rsa_key
from tests.live.service import LIVE, LiveService, live_service  # noqa: F401 - a fixture
from tests.live.strongswan import Gateway, needs_strongswan

pytestmark = LIVE

SERVER_ID = "vpn.example.test"
ROOT = a_ca()[0].public_bytes(Encoding.PEM).decode()
PASSWORD = "correct horse battery"
TUNNEL = {
    "remote_address": SERVER_ID,
    "remote_identifier": SERVER_ID,
    "local_identifier": "{san_dns}",
    "dead_peer_detection": "High",
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    needs_strongswan()
    key = an_rsa_key(number=1)
    certificate = a_certificate(key, SERVER_ID, client_auth=False, dns_names=[SERVER_ID])
    private = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with Gateway(
        a_ca()[0].public_bytes(Encoding.PEM), certificate.public_bytes(Encoding.PEM), private, SERVER_ID
    ) as running:
        yield running


class Deployer:
    """Somebody's own deployer: what it does, it does over HTTP."""

    def __init__(self, service: LiveService) -> None:
        self.service = service

    def call(self, method: str, path: str, status: int = 200, **rest: Any) -> Any:
        answer = self.service.request(method, path, **rest)
        assert answer.status_code == status, answer.text
        return answer

    def import_device(self, serial: str, *, ca: str | None = None, rsa: bool = True) -> None:
        key = an_ec_key() if not rsa else serialization.load_pem_private_key(_new_rsa_key(), None)
        issuer = a_ca(ca) if ca else a_ca()
        name = f"{serial.lower()}.devices.example.test"
        certificate = a_certificate(key, serial, issuer=issuer, dns_names=[name])  # type: ignore[arg-type]
        file = a_pkcs12(serial, PASSWORD, key=key, certificate=certificate, chain=[issuer[0]])  # type: ignore[arg-type]
        bundle = a_bundle([serial], password=PASSWORD, files={serial: file})
        made = self.call(
            "POST", "/api/v1/imports", 201, files={"bundle": bundle},
            data={"identity_type": "SERIAL_NUMBER"}, headers={"Prefer": "wait=60"},
        ).json()  # fmt: skip
        assert made["counts"]["created"] == 1, made

    def create_policy(self, serial: str, **members: object) -> str:
        policy = {
            "name": f"for {serial}",
            "connection_type": "ALWAYS_ON_IKEV2",
            "identity_type": "SERIAL_NUMBER",
            "identities": [serial],
            "tunnels": [TUNNEL],
            "trusted_roots": [ROOT],
        } | members
        made: str = self.call("POST", "/api/v1/vpn-policies", 201, json=policy).json()["id"]
        return made

    def lease(self, policy: str) -> dict[str, Any]:
        [leased] = self.call("POST", "/api/v1/deployments/lease", json={"policy": policy}).json()["items"]
        found: dict[str, Any] = leased
        return found

    def profile(self, policy: str) -> bytes:
        leased = self.lease(policy)
        answer = self.call("POST", leased["profile"], json={"lease": leased["lease"]})
        content: bytes = answer.content
        return content


def _new_rsa_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture(scope="module")
def deployer(live_service: LiveService) -> Deployer:  # noqa: F811
    return Deployer(live_service)


@pytest.mark.parametrize(
    ("serial", "rsa", "members"),
    [
        ("TUNNEL000001", True, {}),
        ("TUNNEL000002", False, {}),
        ("TUNNEL000003", True, {"pkcs12_encryption": "aes256"}),
        ("TUNNEL000004", True, {"connection_type": "IKEV2"}),
        (
            "TUNNEL000005",
            True,
            {
                "connection_type": "ALWAYS_ON_IKEV2_DUAL",
                "tunnels": [TUNNEL | {"interface": "WiFi"}, TUNNEL | {"interface": "Cellular"}],
            },
        ),
    ],
    ids=["RSA", "EC", "AES-256", "plain IKEv2", "dual"],
)
def test_a_released_profile_brings_a_tunnel_up_and_tcp_passes_through_it(
    gateway: Gateway, deployer: Deployer, serial: str, rsa: bool, members: dict[str, object]
) -> None:
    deployer.import_device(serial, rsa=rsa)
    profile = deployer.profile(deployer.create_policy(serial, **members))

    for tunnel in range(2 if "DUAL" in str(members.get("connection_type")) else 1):
        with gateway.client(profile, tunnel=tunnel) as client:
            result = client.connect()
            assert result.established, result.log
            assert client.tcp_echo()


def test_a_device_with_a_certificate_of_another_ca_is_refused(gateway: Gateway, deployer: Deployer) -> None:
    serial = "TUNNEL000006"
    deployer.import_device(serial, ca="Another CA (test only)")
    profile = deployer.profile(deployer.create_policy(serial))

    with gateway.client(profile) as client:
        assert not client.connect().established


def test_a_device_that_calls_itself_something_else_is_refused(gateway: Gateway, deployer: Deployer) -> None:
    serial = "TUNNEL000007"
    deployer.import_device(serial)
    profile = plistlib.loads(deployer.profile(deployer.create_policy(serial)))
    [vpn] = [each for each in profile["PayloadContent"] if each["PayloadType"] == "com.apple.vpn.managed"]
    vpn["AlwaysOn"]["TunnelConfigurations"][0]["LocalIdentifier"] = "somebody-else.example.test"

    with gateway.client(plistlib.dumps(profile)) as client:
        assert not client.connect().established


def test_a_local_identifier_that_is_not_in_the_certificate_makes_no_profile(deployer: Deployer) -> None:
    serial = "TUNNEL000008"
    deployer.import_device(serial)
    policy = deployer.create_policy(serial, tunnels=[TUNNEL | {"local_identifier": "somebody-else"}])
    leased = deployer.lease(policy)
    refused = deployer.call("POST", leased["profile"], 422, json={"lease": leased["lease"]})

    assert refused.json()["code"] == "local_identifier_not_in_certificate"


def test_a_deleted_device_gets_no_profile_any_more(deployer: Deployer) -> None:
    serial = "TUNNEL000009"
    deployer.import_device(serial)
    leased = deployer.lease(policy := deployer.create_policy(serial))
    deletion = {"identity_type": "SERIAL_NUMBER", "identities": [serial]}
    deployer.call("POST", "/api/v1/deletions", 201, json=deletion)

    deployer.call("POST", leased["profile"], 409, json={"lease": leased["lease"]})
    assert deployer.call("POST", "/api/v1/deployments/lease", json={"policy": policy}).json()["items"] == []
