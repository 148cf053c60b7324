import functools
import itertools
import plistlib
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings

from bulkcert.deployments.profiles.fit import check_fit
from bulkcert.deployments.profiles.profile import (
    NAMESPACE,
    DeviceChain,
    ProfileMaker,
    make_profile,
    profile_identifier,
    profile_uuid,
)
from bulkcert.errors.policies import FieldNotInCertificate
from bulkcert.formats.pkcs12.making import make_pkcs12
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.releases import Encryption
from bulkcert.values.secret import Secret
from tests.builders import NOW, a_ca, a_name
from tests.deployments.profiles.apple_schema import Profile, read_profile
from tests.deployments.profiles.devices import DER, IDENTITY, a_device, a_device_certificate, a_key, pkcs8
from tests.live.witnesses import require
from tests.values.policies.policy_documents import ROOT_PEM, Document, a_document, a_tunnel, documents

KEYS = ["RSA", "ECDSA256", "ECDSA384", "ECDSA521"]
CONNECTION_TYPES = ["ALWAYS_ON_IKEV2", "ALWAYS_ON_IKEV2_DUAL", "IKEV2"]


def a_policy(connection_type: str = "ALWAYS_ON_IKEV2", **members: object) -> VpnPolicy:
    return VpnPolicy.from_document(a_document(connection_type, **members))


def a_maker() -> ProfileMaker:
    numbers = itertools.count(1)
    return ProfileMaker(lambda: NOW, lambda count: bytes([next(numbers)]) * count)


def made(policy: VpnPolicy, kind: str = "ECDSA256") -> Profile:
    device = a_device(a_device_certificate(a_key(kind)))
    return read_profile(a_maker().make(policy, "p1", device, pkcs8(a_key(kind))).reveal())


@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("connection_type", CONNECTION_TYPES)
def test_every_profile_keeps_apples_rules(connection_type: str, kind: str, encryption: Encryption) -> None:
    profile = made(
        a_policy(connection_type, pkcs12_encryption=str(encryption), trusted_roots=[ROOT_PEM]), kind
    )

    assert profile.faults == []
    assert {tunnel["CertificateType"] for tunnel in profile.tunnels} == {kind}
    assert len(profile.tunnels) == (2 if connection_type == "ALWAYS_ON_IKEV2_DUAL" else 1)
    assert profile.vpn["VPNType"] == ("IKEv2" if connection_type == "IKEV2" else "AlwaysOn")


@given(documents())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_policy_that_is_taken_gives_a_profile_that_keeps_apples_rules(document: Document) -> None:
    policy = VpnPolicy.from_document(document)
    device, pkcs12 = a_device_and_pkcs12()
    fit = check_fit(policy, IDENTITY, device.leaf, NOW)
    profile = make_profile(policy, "com.bulkcert.vpn.p1.A12BC3D4EFGH", device, fit, pkcs12, PASSWORD)

    assert read_profile(profile.reveal()).faults == []


PASSWORD = Secret(b"twenty-four characters!!")


@functools.cache
def a_device_and_pkcs12() -> tuple[DeviceChain, Secret]:
    """Made once: what a property is tried on a hundred times need not be made anew."""
    device = a_device()
    key = pkcs8(a_key("ECDSA256"))
    return device, make_pkcs12(key, device.leaf.der, (), "A", PASSWORD, Encryption.AES256)


def test_what_the_policy_says_stands_in_the_profile() -> None:
    tunnel = a_tunnel(
        remote_address="2001:db8::1",
        remote_identifier="gateway.example.com",
        local_identifier="{san_email}",
        server_certificate_issuer="Gateway CA",
        server_certificate_common_name="gw",
        ike_security_association={"encryption_algorithm": "AES-256-GCM", "diffie_hellman_group": 20},
        child_security_association={"integrity_algorithm": "SHA2-384", "lifetime_minutes": 60},
        dead_peer_detection="High",
        mobike=False,
        redirect=False,
        perfect_forward_secrecy=True,
        certificate_revocation_check=True,
        nat_keepalive_offload=False,
        nat_keepalive_interval_seconds=110,
        mtu=1400,
        use_internal_subnets=True,
        fallback=True,
    )
    [keys] = made(a_policy(tunnels=[tunnel])).tunnels
    del keys["PayloadCertificateUUID"]

    assert keys == {
        "ProtocolType": "IKEv2",
        "Interfaces": ["Cellular", "WiFi"],
        "AuthenticationMethod": "Certificate",
        "CertificateType": "ECDSA256",
        "ExtendedAuthEnabled": 0,
        "RemoteAddress": "2001:db8::1",
        "RemoteIdentifier": "gateway.example.com",
        "LocalIdentifier": "a12bc3d4efgh@example.com",
        "ServerCertificateIssuerCommonName": "Gateway CA",
        "ServerCertificateCommonName": "gw",
        "IKESecurityAssociationParameters": {
            "EncryptionAlgorithm": "AES-256-GCM",
            "IntegrityAlgorithm": "SHA2-256",
            "DiffieHellmanGroup": 20,
            "LifeTimeInMinutes": 1440,
        },
        "ChildSecurityAssociationParameters": {
            "EncryptionAlgorithm": "AES-256",
            "IntegrityAlgorithm": "SHA2-384",
            "DiffieHellmanGroup": 14,
            "LifeTimeInMinutes": 60,
        },
        "DeadPeerDetectionRate": "High",
        "DisableMOBIKE": 1,
        "DisableRedirect": 1,
        "EnablePFS": 1,
        "EnableCertificateRevocationCheck": 1,
        "EnableFallback": 1,
        "NATKeepAliveOffloadEnable": 0,
        "NATKeepAliveInterval": 110,
        "MTU": 1400,
        "UseConfigurationAttributeInternalIPSubnet": 1,
    }


def test_what_is_left_out_of_the_policy_is_left_to_apple() -> None:
    [keys] = made(a_policy()).tunnels

    assert not {"MTU", "NATKeepAliveInterval", "ServerCertificateIssuerCommonName"} & set(keys)
    assert keys["ChildSecurityAssociationParameters"] == keys["IKESecurityAssociationParameters"]
    assert (keys["DisableMOBIKE"], keys["DisableRedirect"], keys["EnablePFS"]) == (0, 0, 0)


def test_two_tunnels_have_an_interface_each() -> None:
    tunnels = [
        a_tunnel(interface="Cellular", remote_address="cellular.example.com"),
        a_tunnel(interface="WiFi", remote_address="wifi.example.com", local_identifier="{common_name}"),
    ]
    profile = made(a_policy("ALWAYS_ON_IKEV2_DUAL", tunnels=tunnels))

    assert [
        (keys["Interfaces"], keys["RemoteAddress"], keys["LocalIdentifier"]) for keys in profile.tunnels
    ] == [
        (["Cellular"], "cellular.example.com", "a12bc3d4efgh.example.com"),
        (["WiFi"], "wifi.example.com", "A12BC3D4EFGH"),
    ]


def test_exceptions_of_always_on_stand_in_the_profile() -> None:
    policy = a_policy(
        ui_toggle=True,
        service_exceptions={"voice_mail": "Allow", "air_print": "Drop", "device_communication": "Allow"},
        application_exceptions=[
            {"bundle_identifier": "com.example.a"},
            {"bundle_identifier": "com.example.b", "limit_to_protocols": ["UDP"]},
        ],
        captive_portal={"allow_web_sheet": True, "allowed_plugins": ["com.example.c"]},
    )
    keys = made(policy).vpn["AlwaysOn"]
    del keys["TunnelConfigurations"]

    assert keys == {
        "UIToggleEnabled": 1,
        "ServiceExceptions": [
            {"ServiceName": "VoiceMail", "Action": "Allow"},
            {"ServiceName": "AirPrint", "Action": "Drop"},
            {"ServiceName": "DeviceCommunication", "Action": "Allow"},
        ],
        "ApplicationExceptions": [
            {"BundleIdentifier": "com.example.a"},
            {"BundleIdentifier": "com.example.b", "LimitToProtocols": ["UDP"]},
        ],
        "AllowCaptiveWebSheet": 1,
        "AllowAllCaptiveNetworkPlugins": 0,
        "AllowedCaptiveNetworkPlugins": [{"BundleIdentifier": "com.example.c"}],
    }


def test_what_plain_ikev2_has_besides_stands_in_the_profile() -> None:
    evaluation = {
        "domains": ["*.corp.example"],
        "action": "ConnectIfNeeded",
        "required_dns_servers": ["192.0.2.53"],
    }
    policy = a_policy(
        "IKEV2",
        on_demand={
            "user_override_disabled": True,
            "rules": [
                {"action": "Disconnect", "interface_type": "WiFi", "ssids": ["Office"]},
                {"action": "EvaluateConnection", "evaluations": [evaluation]},
                {"action": "Ignore"},
            ],
        },
        routing={"include_all_networks": True, "exclude_apns": False},
        disconnect_on_idle_seconds=600,
    )
    keys = made(policy).vpn["IKEv2"]

    assert (keys["OnDemandEnabled"], keys["OnDemandUserOverrideDisabled"]) == (1, 1)
    assert keys["OnDemandRules"] == [
        {"Action": "Disconnect", "InterfaceTypeMatch": "WiFi", "SSIDMatch": ["Office"]},
        {
            "Action": "EvaluateConnection",
            "ActionParameters": [
                {
                    "Domains": ["*.corp.example"],
                    "DomainAction": "ConnectIfNeeded",
                    "RequiredDNSServers": ["192.0.2.53"],
                }
            ],
        },
        {"Action": "Ignore"},
    ]
    assert (keys["DisconnectOnIdle"], keys["DisconnectOnIdleTimer"]) == (1, 600)
    assert (keys["IncludeAllNetworks"], keys["EnforceRoutes"]) == (1, 0)
    assert (keys["ExcludeLocalNetworks"], keys["ExcludeAPNs"]) == (1, 0)
    assert (keys["ExcludeCellularServices"], keys["ExcludeDeviceCommunication"]) == (1, 1)


def test_plain_ikev2_without_rules_has_none() -> None:
    keys = made(a_policy("IKEV2")).vpn["IKEv2"]

    assert not {"OnDemandEnabled", "OnDemandRules", "DisconnectOnIdle", "IncludeAllNetworks"} & set(keys)


@pytest.mark.parametrize(
    ("dns", "keys"),
    [
        ({"servers": ["192.0.2.53"]}, {"DNSProtocol": "Cleartext", "ServerAddresses": ["192.0.2.53"]}),
        (
            {
                "servers": ["192.0.2.53", "2001:db8::53"],
                "protocol": "HTTPS",
                "server_url": "https://dns.example.com/q",
                "domain": "corp.example",
                "search_domains": ["a.example"],
                "match_domains": ["", "b.example"],
                "match_domains_are_searched": False,
            },
            {
                "DNSProtocol": "HTTPS",
                "ServerURL": "https://dns.example.com/q",
                "ServerAddresses": ["192.0.2.53", "2001:db8::53"],
                "DomainName": "corp.example",
                "SearchDomains": ["a.example"],
                "SupplementalMatchDomains": ["", "b.example"],
                "SupplementalMatchDomainsNoSearch": 1,
            },
        ),
        (
            {"servers": ["192.0.2.53"], "protocol": "TLS", "server_name": "dns.example.com"},
            {"DNSProtocol": "TLS", "ServerName": "dns.example.com", "ServerAddresses": ["192.0.2.53"]},
        ),
    ],
)
@pytest.mark.parametrize("connection_type", CONNECTION_TYPES)
def test_name_servers_stand_in_the_profile(connection_type: str, dns: Document, keys: Document) -> None:
    profile = made(a_policy(connection_type, dns=dns))

    assert profile.faults == []
    assert profile.vpn["DNS"] == keys


def test_chain_and_trusted_roots_have_payloads_of_their_own_each_once() -> None:
    between = x509.load_der_x509_certificate(
        a_device_certificate(subject=a_name("Issuing CA"), names=(), usages=())
    ).public_bytes(DER)
    root = a_ca()[0].public_bytes(DER)
    other = a_ca("Gateway CA (test only)")[0]
    pems = [ROOT_PEM, other.public_bytes(serialization.Encoding.PEM).decode()]
    policy = a_policy(trusted_roots=pems)
    profile = read_profile(
        a_maker().make(policy, "p1", a_device(chain=(between, root)), pkcs8(a_key("ECDSA256"))).reveal()
    )

    assert profile.faults == []
    assert [each["PayloadContent"] for each in profile.of_type("com.apple.security.pkcs1")] == [between]
    assert [each["PayloadContent"] for each in profile.of_type("com.apple.security.root")] == [
        root,
        other.public_bytes(DER),
    ]
    assert [each["PayloadDisplayName"] for each in profile.of_type("com.apple.security.root")] == [
        "Test CA (test only)",
        "Gateway CA (test only)",
    ]


@pytest.mark.parametrize(
    ("attribute", "name", "shown"),
    [
        (NameOID.COMMON_NAME, "<b>\x00\x1b[31m&", "<b>[31m&"),
        (NameOID.COMMON_NAME, "\x00\x01", "Certificate"),
        (NameOID.ORGANIZATION_NAME, "x" * 65, "x" * 64),
        (NameOID.LOCALITY_NAME, "Here", "Certificate"),
    ],
)
def test_a_hostile_name_of_a_ca_is_shown_as_a_plist_can_hold_it(
    attribute: x509.ObjectIdentifier, name: str, shown: str
) -> None:
    subject = x509.Name([x509.NameAttribute(attribute, name)])
    hostile = a_device_certificate(subject=subject, names=(), usages=())
    profile = read_profile(
        a_maker().make(a_policy(), "p1", a_device(chain=(hostile,)), pkcs8(a_key("ECDSA256"))).reveal()
    )
    [payload] = profile.of_type("com.apple.security.pkcs1")

    assert payload["PayloadDisplayName"] == shown


def test_the_pkcs12_opens_and_holds_key_and_leaf_alone() -> None:
    der = a_device_certificate(a_key("RSA"))
    profile = read_profile(a_maker().make(a_policy(), "p1", a_device(der), pkcs8(a_key("RSA"))).reveal())
    opened = profile.open_pkcs12()

    assert opened.key is not None
    assert opened.cert is not None
    assert opened.key.public_key() == a_key("RSA").public_key()
    assert opened.cert.certificate.public_bytes(DER) == der
    assert opened.additional_certs == []
    assert len(profile.identity["Password"]) == 24


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encryption", "scheme", "digest"),
    [
        ("apple_legacy", "pbeWithSHA1And3-KeyTripleDES-CBC", "MAC: sha1"),
        ("aes256", "AES-256-CBC", "MAC: sha256"),
    ],
)
def test_the_pkcs12_is_encrypted_as_the_policy_says(
    tmp_path: Path, encryption: str, scheme: str, digest: str
) -> None:
    require("openssl")
    profile = made(a_policy(pkcs12_encryption=encryption))
    (tmp_path / "device.p12").write_bytes(profile.identity["PayloadContent"])
    told = subprocess.run(
        ["openssl", "pkcs12", "-in", tmp_path / "device.p12", "-info", "-noout", "-passin", "stdin"],
        input=profile.identity["Password"].encode(),
        capture_output=True,
        check=True,
    ).stderr.decode()

    assert told.count(scheme) == 2
    assert digest in told


def test_every_profile_has_a_password_of_its_own() -> None:
    maker, device, key = a_maker(), a_device(), pkcs8(a_key("ECDSA256"))
    first, second = (read_profile(maker.make(a_policy(), "p1", device, key).reveal()) for _ in range(2))

    assert first.identity["Password"] != second.identity["Password"]


def test_the_same_arguments_give_the_same_bytes() -> None:
    device, pkcs12 = a_device(), Secret(b"not looked into")
    fit = check_fit(a_policy(), IDENTITY, device.leaf, NOW)
    one, other = (make_profile(a_policy(), "a.b", device, fit, pkcs12, PASSWORD).reveal() for _ in range(2))

    assert one == other


def identifiers(profile: Profile) -> dict[str, tuple[str, str]]:
    parts = [profile.content, *profile.content["PayloadContent"]]
    return {part["PayloadType"]: (part["PayloadIdentifier"], part["PayloadUUID"]) for part in parts}


def test_a_new_certificate_keeps_the_profile_and_the_connection_and_changes_the_identity() -> None:
    old, new = (identifiers(made(a_policy(), kind)) for kind in ("RSA", "ECDSA256"))

    assert {kind: identifier for kind, (identifier, _) in old.items()} == {
        kind: identifier for kind, (identifier, _) in new.items()
    }
    assert {kind for kind in old if old[kind] != new[kind]} == {"Configuration", "com.apple.security.pkcs12"}


def test_a_change_of_the_policy_changes_the_profile_and_nothing_else() -> None:
    device = a_device()
    maker, key = a_maker(), pkcs8(a_key("ECDSA256"))
    old, new = (
        identifiers(read_profile(maker.make(policy, "p1", device, key).reveal()))
        for policy in (a_policy(), a_policy(tunnels=[a_tunnel(mtu=1300)]))
    )

    assert {kind for kind in old if old[kind] != new[kind]} == {"Configuration"}


def test_what_is_made_again_has_the_same_names() -> None:
    device, maker, key = a_device(), a_maker(), pkcs8(a_key("ECDSA256"))
    old, new = (
        identifiers(read_profile(maker.make(a_policy(), "p1", device, key).reveal())) for _ in range(2)
    )

    assert old == new


def test_the_profile_is_found_on_a_device_by_its_identifier_and_uuid() -> None:
    device = a_device()
    profile = read_profile(a_maker().make(a_policy(), "p1", device, pkcs8(a_key("ECDSA256"))).reveal())
    identifier = profile_identifier("p1", IDENTITY)

    assert identifier == f"{NAMESPACE}.p1.A12BC3D4EFGH"
    assert profile.content["PayloadIdentifier"] == identifier
    assert profile.content["PayloadUUID"] == profile_uuid(
        identifier, a_policy(), device.leaf.facts.fingerprint_sha256
    )


@pytest.mark.parametrize(
    ("policy_id", "identity", "namespace"),
    [
        ("p2", IDENTITY, NAMESPACE),
        ("p1", DeviceIdentity(IdentityType.SERIAL_NUMBER, "B12BC3D4EFGH"), NAMESPACE),
        ("p1", IDENTITY, "org.example"),
    ],
)
def test_another_policy_device_or_namespace_is_another_profile(
    policy_id: str, identity: DeviceIdentity, namespace: str
) -> None:
    assert profile_identifier(policy_id, identity, namespace) != profile_identifier("p1", IDENTITY)


def test_texts_of_the_profile_are_shown() -> None:
    texts = {"display_name": "VPN für alle", "organization": "Example & Söhne", "removal_disallowed": True}
    named, unnamed = made(a_policy(profile=texts)).content, made(a_policy()).content

    assert (named["PayloadDisplayName"], unnamed["PayloadDisplayName"]) == ("VPN für alle", "Fleet VPN")
    assert (named["PayloadOrganization"], named["PayloadRemovalDisallowed"]) == ("Example & Söhne", True)
    assert "PayloadOrganization" not in unnamed
    assert unnamed["PayloadRemovalDisallowed"] is False


def test_no_profile_is_made_of_a_certificate_that_does_not_fit() -> None:
    der = a_device_certificate(names=())

    with pytest.raises(FieldNotInCertificate):
        a_maker().make(a_policy(), "p1", a_device(der), pkcs8(a_key("ECDSA256")))


def test_the_profile_is_xml_that_says_what_it_is() -> None:
    profile = a_maker().make(a_policy(), "p1", a_device(), pkcs8(a_key("ECDSA256")))

    assert profile.reveal().startswith(b"<?xml ")
    assert repr(profile) == "Secret(***)"
    assert plistlib.loads(profile.reveal(), fmt=plistlib.FMT_XML)["PayloadType"] == "Configuration"
