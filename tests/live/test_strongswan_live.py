"""The tunnel harness itself: a profile made by hand brings a tunnel up, and each thing wrong with it keeps it down."""

import datetime as dt
import functools
import os
import plistlib
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from tests.builders import a_ca, a_certificate, a_name, an_ec_key, an_rsa_key
from tests.live import strongswan
from tests.live.service import LIVE, children_of, is_running, wait_until
from tests.live.strongswan import BEHIND, ECHO_CLIENT, GATEWAY_ADDRESS, Gateway, needs_strongswan
from tests.live.vpn_profile import esp_proposal, ike_proposal, read_profile
from tests.paths import ROOT

pytestmark = LIVE

SERVER_ID = "vpn.example.test"
DEVICE_ID = "a12bc3d4efgh.devices.example.test"
PASSWORD = 'a "quoted" pass\\word #1'
OTHER_CA = "Another CA (test only)"
Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def an_intermediate(common_name: str = "Test Issuing CA (test only)") -> Authority:
    key = an_ec_key()
    issuer, issuer_key = a_ca()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(a_name(common_name))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc - dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate, key


def a_device_pkcs12(
    issuer: Authority | None = None,
    *,
    password: str = PASSWORD,
    chain: Iterable[x509.Certificate] = (),
    rsa: bool = True,
) -> bytes:
    """3DES and SHA-1, as Apple devices read it, with the leaf alone unless `chain` is given."""
    key = an_rsa_key() if rsa else an_ec_key()
    certificate = a_certificate(key, DEVICE_ID, issuer=issuer, dns_names=[DEVICE_ID])
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(b"device", key, certificate, list(chain), encryption)


def a_payload(payload_type: str, **content: Any) -> dict[str, Any]:
    name = str(uuid.uuid4())
    return {
        "PayloadType": payload_type,
        "PayloadVersion": 1,
        "PayloadIdentifier": name,
        "PayloadUUID": name,
    } | content


def a_profile(
    *,
    identity: bytes | None = None,
    certificates: Iterable[x509.Certificate] | None = None,
    always_on: bool = False,
    **ikev2: Any,
) -> bytes:
    """A profile whose tunnel comes up; `ikev2` are keys of Apple's IKEv2 dictionary that differ from the good ones."""
    device = a_payload(
        "com.apple.security.pkcs12", PayloadContent=identity or a_device_pkcs12(), Password=PASSWORD
    )
    roots = [
        a_payload("com.apple.security.root", PayloadContent=certificate.public_bytes(Encoding.DER))
        for certificate in ([a_ca()[0]] if certificates is None else certificates)
    ]
    tunnel = {
        "RemoteAddress": SERVER_ID,
        "RemoteIdentifier": SERVER_ID,
        "LocalIdentifier": DEVICE_ID,
        "AuthenticationMethod": "Certificate",
        "PayloadCertificateUUID": device["PayloadUUID"],
        **ikev2,
    }
    vpn = {"VPNType": "IKEv2", "IKEv2": tunnel}
    if always_on:
        other = tunnel | {"RemoteAddress": "no-such-gateway.example.test", "Interfaces": ["WiFi"]}
        cellular = tunnel | {"ProtocolType": "IKEv2", "Interfaces": ["Cellular"]}
        vpn = {"VPNType": "AlwaysOn", "AlwaysOn": {"TunnelConfigurations": [other, cellular]}}
    content = [a_payload("com.apple.vpn.managed", UserDefinedName="VPN", **vpn), device, *roots]
    return plistlib.dumps(a_payload("Configuration", PayloadContent=content))


def a_gateway(**options: str) -> Gateway:
    """A gateway that trusts the test CA for devices and has a certificate of it."""
    key = an_rsa_key(number=1)
    certificate = a_certificate(key, SERVER_ID, client_auth=False, dns_names=[SERVER_ID])
    private = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    ca_pem = a_ca()[0].public_bytes(Encoding.PEM)
    return Gateway(ca_pem, certificate.public_bytes(Encoding.PEM), private, SERVER_ID, **options)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    needs_strongswan()
    with a_gateway() as running:
        yield running


GROUP_19_GCM = {"EncryptionAlgorithm": "AES-256-GCM", "DiffieHellmanGroup": 19}


@pytest.mark.parametrize(
    ("make", "tunnel"),
    [
        pytest.param(a_profile, 0, id="IKEv2"),
        pytest.param(functools.partial(a_profile, always_on=True), 1, id="the second tunnel of AlwaysOn"),
        pytest.param(functools.partial(a_profile, RemoteAddress="192.0.2.1"), 0, id="an address for a name"),
        pytest.param(lambda: a_profile(identity=a_device_pkcs12(rsa=False)), 0, id="an EC key"),
        pytest.param(functools.partial(a_profile, DisableMOBIKE=1, EnablePFS=1), 0, id="no MOBIKE, but PFS"),
    ],
)
def test_a_tunnel_comes_up_from_the_profile_alone_and_carries_tcp(gateway, make, tunnel):
    with gateway.client(make(), tunnel) as device:
        assert not device.tcp_echo()  # there is no way around the tunnel
        result = device.connect()
        assert result.established, result.log
        assert device.tcp_echo()
        assert PASSWORD not in result.log


def test_bytes_that_come_back_outside_the_tunnel_do_not_count(gateway):
    with gateway.client(a_profile()) as device:
        assert device.connect().established
        device.namespace.ip("rule delete priority 220")  # strongSwan's own routes are in table 220
        device.namespace.ip(f"route add {BEHIND}/32 via {GATEWAY_ADDRESS}")
        assert device.namespace.run(sys.executable, "-c", ECHO_CLIENT, stdin=b"around").stdout == b"around"
        assert not device.tcp_echo()


def test_an_intermediate_in_a_payload_of_its_own_completes_the_chain(gateway):
    authority = an_intermediate()
    with gateway.client(
        a_profile(identity=a_device_pkcs12(authority), certificates=[a_ca()[0], authority[0]])
    ) as device:
        result = device.connect()
        assert result.established, result.log


def test_the_algorithms_of_the_profile_are_those_that_are_used():
    needs_strongswan()
    proposals = {"ike": "aes256gcm16-prfsha256-ecp256", "esp": "chacha20poly1305"}
    child = {"EncryptionAlgorithm": "ChaCha20Poly1305"}
    profile = a_profile(
        IKESecurityAssociationParameters=GROUP_19_GCM, ChildSecurityAssociationParameters=child
    )
    with a_gateway(**proposals) as gateway:
        with gateway.client(profile) as device:
            result = device.connect()
            assert result.established, result.log
            assert device.tcp_echo()
        with gateway.client(a_profile(IKESecurityAssociationParameters=GROUP_19_GCM)) as device:
            assert "NO_PROP" in device.connect().log  # of the child SA


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(
            lambda: a_profile(identity=a_device_pkcs12(a_ca(OTHER_CA))),
            "no trusted RSA public key found for 'a12bc3d4efgh.devices.example.test'",
            id="a client certificate of another CA",
        ),
        pytest.param(
            functools.partial(a_profile, LocalIdentifier="other.devices.example.test"),
            "no private key found for 'other.devices.example.test'",
            id="a local identifier that is not in the certificate",
        ),
        pytest.param(
            functools.partial(a_profile, RemoteIdentifier="other.example.test"),
            "no matching peer config found",
            id="a remote identifier that is not the gateway's",
        ),
        pytest.param(
            functools.partial(a_profile, RemoteAddress="other.example.test"),
            "unable to resolve other.example.test",
            id="a name that is not the gateway's",
        ),
        pytest.param(
            lambda: a_profile(certificates=[a_ca(OTHER_CA)[0]]),
            "no trusted RSA public key found for 'vpn.example.test'",
            id="the root of another CA",
        ),
        pytest.param(
            functools.partial(a_profile, certificates=[]),
            "no trusted RSA public key found for 'vpn.example.test'",
            id="no root payload",
        ),
        pytest.param(
            lambda: a_profile(certificates=[], identity=a_device_pkcs12(chain=[a_ca()[0]])),
            "constraint check failed",
            id="no root payload, but the root in the PKCS#12",
        ),
        pytest.param(
            lambda: a_profile(identity=a_device_pkcs12(password="another")),
            "no private key found for 'a12bc3d4efgh.devices.example.test'",
            id="a PKCS#12 of another password",
        ),
        pytest.param(
            functools.partial(a_profile, IKESecurityAssociationParameters={"DiffieHellmanGroup": 15}),
            "NO_PROP",
            id="another Diffie-Hellman group",
        ),
    ],
)
def test_a_tunnel_is_refused_for(gateway, make, reason):
    with gateway.client(make()) as device:
        result = device.connect()
        assert not result.established
        assert reason in result.log
        assert not device.tcp_echo()


ENDS_BY_AN_ERROR = """
import sys
from tests.live.test_strongswan_live import a_gateway, a_profile
with a_gateway() as gateway, gateway.client(a_profile()) as device:
    assert device.connect().established
    print("up", flush=True)
    sys.stdin.read()
    raise SystemExit("an error inside the test")
"""


@pytest.mark.parametrize("is_killed", [False, True])
def test_no_process_and_no_secret_is_left_when_a_test_fails_or_is_killed(is_killed):
    needs_strongswan()
    with tempfile.TemporaryDirectory(prefix="left-") as left:
        test = subprocess.Popen(
            [sys.executable, "-c", ENDS_BY_AN_ERROR],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": left},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with test:
            assert test.stdout.readline() == b"up\n"
            daemons = children_of(test.pid)
            assert len(daemons) == 5  # two namespaces, two daemons, the server behind the gateway
            if is_killed:
                test.kill()
            _, errors = test.communicate(timeout=30)
            assert is_killed or b"an error inside the test" in errors
        wait_until(lambda: not any(map(is_running, daemons)), 5)
        files = [path for path in Path(left).rglob("*") if path.is_file()]
        assert is_killed == bool(files)  # the logs of one that was killed
        assert not [path for path in files if path.suffix in (".p12", ".key") or path.name == "swanctl.conf"]
        assert not [path for path in files if b"passw" in path.read_bytes()]


@pytest.mark.parametrize(
    ("parameters", "ike", "esp", "esp_with_pfs"),
    [
        ({}, "aes256-sha256-modp2048", "aes256-sha256", "aes256-sha256-modp2048"),
        (GROUP_19_GCM, "aes256gcm16-prfsha256-ecp256", "aes256gcm16", "aes256gcm16-ecp256"),
        (
            {"EncryptionAlgorithm": "AES-128", "IntegrityAlgorithm": "SHA2-512", "DiffieHellmanGroup": 31},
            "aes128-sha512-curve25519",
            "aes128-sha512",
            "aes128-sha512-curve25519",
        ),
    ],
)
def test_apples_parameters_are_these_proposals(parameters, ike, esp, esp_with_pfs):
    assert ike_proposal(parameters) == ike
    assert esp_proposal(parameters, pfs=False) == esp
    assert esp_proposal(parameters, pfs=True) == esp_with_pfs


def test_the_child_takes_the_parameters_of_the_ike_sa_unless_it_has_its_own():
    own = read_profile(
        a_profile(IKESecurityAssociationParameters=GROUP_19_GCM, ChildSecurityAssociationParameters={})
    )
    shared = read_profile(a_profile(IKESecurityAssociationParameters=GROUP_19_GCM))
    assert (own.esp_proposal, shared.esp_proposal) == ("aes256-sha256", "aes256gcm16")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PayloadCertificateUUID": str(uuid.uuid4())}, "names no PKCS#12 payload"),
        ({"AuthenticationMethod": "SharedSecret"}, "does not use IKEv2 with a certificate"),
        ({"IKESecurityAssociationParameters": {"EncryptionAlgorithm": "ROT13"}}, "'ROT13'"),
    ],
)
def test_a_profile_that_says_too_little_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        read_profile(a_profile(**changes))


def test_what_is_missing_is_the_reason_of_the_skip(monkeypatch):
    needs_strongswan()
    monkeypatch.setattr(strongswan, "is_permitted", lambda script: "tuntap" in script)
    assert strongswan._missing.__wrapped__() == "network namespaces"
    monkeypatch.setitem(strongswan.ENVIRONMENT, "PATH", "/nowhere")
    assert strongswan._missing.__wrapped__() == "charon-systemd"
