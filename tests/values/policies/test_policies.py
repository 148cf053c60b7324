import json
import string

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors.policies import PolicyRefused
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import ConnectionType, Field, SecurityAssociation, Tunnel, VpnPolicy, fill
from bulkcert.values.policies.roots import Certificates
from bulkcert.values.policies.templates import no_template
from bulkcert.values.releases import Encryption
from tests.builders import a_ca, an_ec_key
from tests.values.policies.policy_documents import (
    GROUPS,
    ROOT_PEM,
    Document,
    a_document,
    a_pem,
    a_tunnel,
    changed,
    documents,
)

DUAL = "ALWAYS_ON_IKEV2_DUAL"
IKE = "tunnels/0/ike_security_association"


def faults_of(document: object) -> dict[str, str]:
    """What is wrong with a document, by place."""
    with pytest.raises(PolicyRefused) as refused:
        VpnPolicy.from_document(document)  # type: ignore[arg-type]
    faults = {fault.where: fault.detail for fault in refused.value.faults}

    assert len(faults) == len(refused.value.faults), "a place has two faults"
    return faults


def a_private_key_pem() -> str:
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return an_ec_key().private_bytes(Encoding.PEM, *plain).decode()


def test_the_shortest_document_gives_the_defaults_that_apple_names() -> None:
    policy = VpnPolicy.from_document(a_document())
    [tunnel] = policy.tunnels

    assert policy.connection_type is ConnectionType.ALWAYS_ON_IKEV2
    assert policy.identity_type is IdentityType.SERIAL_NUMBER
    assert policy.pkcs12_encryption is Encryption.APPLE_LEGACY
    assert (policy.identities, policy.issuer, policy.trusted_roots, policy.dns) == (None, None, (), None)
    assert tunnel.ike_security_association.document() == {
        "encryption_algorithm": "AES-256",
        "integrity_algorithm": "SHA2-256",
        "diffie_hellman_group": 14,
        "lifetime_minutes": 1440,
    }
    assert (tunnel.dead_peer_detection, tunnel.mtu, tunnel.mobike, tunnel.redirect) == (
        "Medium",
        None,
        True,
        True,
    )
    assert (tunnel.nat_keepalive_offload, tunnel.perfect_forward_secrecy, tunnel.fallback) == (
        True,
        False,
        False,
    )


@given(documents())
def test_every_policy_comes_back_from_its_document_as_it_was(document: Document) -> None:
    policy = VpnPolicy.from_document(document)
    told = json.loads(json.dumps(policy.document()))

    assert VpnPolicy.from_document(told) == policy
    assert VpnPolicy.from_document(told).document() == told
    assert VpnPolicy.from_document(json.loads(json.dumps(policy.short_document()))) == policy


ALWAYS = ["ALWAYS_ON_IKEV2", DUAL]
EVERY = [*ALWAYS, "IKEV2"]


REFUSED = [
    (EVERY, "name", "", "1 to 100 characters"),
    (EVERY, "name", "x" * 101, "1 to 100 characters"),
    (EVERY, "name", 7, "must be text"),
    (EVERY, "name", None, "must be text"),
    (EVERY, "name", "a\x00b", "control characters"),
    (EVERY, "name", "a\nb", "control characters"),
    (EVERY, "name", "a\ud800", "control characters"),
    (EVERY, "name", " a", "begin or end with a space"),
    (EVERY, "identity_type", "UDID", "SERIAL_NUMBER, IMEI, MEID"),
    (EVERY, "identity_type", ["IMEI"], "SERIAL_NUMBER, IMEI, MEID"),
    (EVERY, "pkcs12_encryption", "rc2", "apple_legacy, aes256"),
    (EVERY, "tunnels", [], "1 to 2 values"),
    (EVERY, "tunnels", [a_tunnel()] * 3, "1 to 2 values"),
    (EVERY, "tunnels", a_tunnel(), "must be a list"),
    (EVERY, "tunnels", {}, "must be a list"),
    (EVERY, "tunnels/0", "vpn.example.com", "must be an object"),
    (EVERY, "tunnels/0/remote_address", "vpn example", "must be a host name"),
    (EVERY, "tunnels/0/remote_address", "https://vpn.example.com", "without scheme"),
    (EVERY, "tunnels/0/remote_address", "vpn.example.com:500", "without scheme"),
    (EVERY, "tunnels/0/remote_address", "-vpn.example.com", "must be a host name"),
    (EVERY, "tunnels/0/remote_address", "vpn..example.com", "must be a host name"),
    (EVERY, "tunnels/0/remote_address", "x" * 64 + ".example", "must be a host name"),
    (EVERY, "tunnels/0/remote_address", ".".join(["x" * 49] * 5) + ".abcd", "must be a host name"),
    (EVERY, "tunnels/0/remote_address", "bücher.example", "ASCII form"),
    (EVERY, "tunnels/0/remote_address", "192.0.2.256", "neither an IP address nor a host name"),
    (EVERY, "tunnels/0/remote_address", "192.0.2.07", "neither an IP address nor a host name"),
    (EVERY, "tunnels/0/remote_address", "fe80::1%en0", "The zone"),
    (EVERY, "tunnels/0/remote_address", "2001:db8::g", "host name or an IP address"),
    (EVERY, "tunnels/0/remote_identifier", "x" * 256, "1 to 255 characters"),
    (EVERY, "tunnels/0/local_identifier", "", "1 to 255 characters"),
    (EVERY, "tunnels/0/local_identifier", "{udid}", "{identity}, {san_dns}, {san_email}, {common_name}"),
    (EVERY, "tunnels/0/local_identifier", "{identity.__class__}", "The fields are"),
    (EVERY, "tunnels/0/local_identifier", "{identity!r}", "The fields are"),
    (EVERY, "tunnels/0/local_identifier", "{}", "The fields are"),
    (EVERY, "tunnels/0/local_identifier", "{identity", "A brace stands alone"),
    (EVERY, "tunnels/0/local_identifier", "identity}", "A brace stands alone"),
    (EVERY, "tunnels/0/local_identifier", "{{identity}", "A brace stands alone"),
    (EVERY, "tunnels/0/server_certificate_issuer", "", "1 to 255 characters"),
    (EVERY, "tunnels/0/server_certificate_common_name", False, "must be text"),
    (EVERY, "tunnels/0/dead_peer_detection", "medium", "None, Low, Medium, High"),
    (EVERY, "tunnels/0/dead_peer_detection", None, "None, Low, Medium, High"),
    (EVERY, "tunnels/0/mobike", 1, "true or false"),
    (EVERY, "tunnels/0/mobike", "true", "true or false"),
    (EVERY, "tunnels/0/mobike", None, "true or false"),
    (EVERY, "tunnels/0/mtu", 1279, "1280 to 1400"),
    (EVERY, "tunnels/0/mtu", 1401, "1280 to 1400"),
    (EVERY, "tunnels/0/mtu", 1300.0, "whole number"),
    (EVERY, "tunnels/0/mtu", "1300", "whole number"),
    (EVERY, "tunnels/0/nat_keepalive_interval_seconds", 19, "Apple's least is 20"),
    (EVERY, "tunnels/0/nat_keepalive_interval_seconds", 86_401, "a day is the most"),
    (EVERY, "tunnels/0/nat_keepalive_interval_seconds", True, "whole number"),
    (EVERY, "tunnels/0/fall_back", True, "no such member"),
    (EVERY, f"{IKE}/lifetime_minutes", 9, "10 to 1440"),
    (EVERY, f"{IKE}/lifetime_minutes", 1441, "10 to 1440"),
    (EVERY, f"{IKE}/lifetime_minutes", True, "whole number"),
    (EVERY, f"{IKE}/encryption_algorithm", "AES-192", "AES-256-GCM"),
    (EVERY, f"{IKE}/integrity_algorithm", "MD5", "SHA2-512"),
    (EVERY, f"{IKE}/diffie_hellman_group", 22, "one of 1, 2, 5, 14"),
    (EVERY, f"{IKE}/diffie_hellman_group", "14", "one of 1, 2, 5, 14"),
    (EVERY, f"{IKE}/diffie_hellman_group", True, "one of 1, 2, 5, 14"),
    (ALWAYS, f"{IKE}/diffie_hellman_group", 5, "group 14 or higher alone (Apple, since iOS 14.2)"),
    (ALWAYS, f"{IKE}/diffie_hellman_group", 1, "group 14 or higher alone (Apple, since iOS 14.2)"),
    (ALWAYS, "tunnels/0/child_security_association/diffie_hellman_group", 2, "since iOS 14.2"),
    ([DUAL], "tunnels/1/ike_security_association/diffie_hellman_group", 2, "since iOS 14.2"),
    (EVERY, IKE, None, "must be an object"),
    (EVERY, IKE, [], "must be an object"),
    (EVERY, "identities", [], "1 to 10000 values"),
    (EVERY, "identities", "A12BC3D4EFGH", "must be a list"),
    (EVERY, "identities/0", "short", "8 to 20 letters"),
    (EVERY, "issuer", "", "1 to 255 characters"),
    (EVERY, "trusted_roots", ROOT_PEM, "must be a list of texts"),
    (EVERY, "trusted_roots", [7], "must be a list of texts"),
    (EVERY, "trusted_roots", [ROOT_PEM] * 21, "20 certificates"),
    (EVERY, "trusted_roots", [ROOT_PEM + " " * 100_000], "100000 characters"),
    (EVERY, "trusted_roots/0", "no PEM", "must be certificates in PEM form"),
    (EVERY, "trusted_roots/0", "", "must be certificates in PEM form"),
    (EVERY, "trusted_roots/0", ROOT_PEM.replace("CERTIFICATE", "X509 CRL"), "must be certificates in PEM"),
    (EVERY, "trusted_roots/0", ROOT_PEM[:-10], "must be certificates in PEM form"),
    (EVERY, "trusted_roots/0", ROOT_PEM[:100] + "%" + ROOT_PEM[100:], "cannot be read"),
    (EVERY, "trusted_roots/0", ROOT_PEM + a_private_key_pem(), "holds a private key"),
    (EVERY, "dns", [], "must be an object"),
    (EVERY, "dns/servers", ["dns.example.com"], "IPv4 or IPv6"),
    (EVERY, "profile/removal_disallowed", 1, "true or false"),
    (EVERY, "profile/organization", "", "1 to 100 characters"),
    (EVERY, "shared_secret", "x", "no such member"),
    (ALWAYS, "on_demand", {"rules": [{"action": "Connect"}]}, "connection type IKEV2 alone"),
    (ALWAYS, "routing", {}, "connection type IKEV2 alone"),
    (ALWAYS, "disconnect_on_idle_seconds", 60, "connection type IKEV2 alone"),
    (["IKEV2"], "ui_toggle", True, "connection type Always On alone"),
    (["IKEV2"], "service_exceptions", {"voice_mail": "Allow"}, "connection type Always On alone"),
    (["IKEV2"], "application_exceptions", [{"bundle_identifier": "a.b"}], "Always On alone"),
    (["IKEV2"], "captive_portal", {"allow_web_sheet": True}, "connection type Always On alone"),
    (ALWAYS, "service_exceptions/voice_mail", "allow", "Allow, Drop"),
    (ALWAYS, "service_exceptions/VoiceMail", "Allow", "no such member"),
    (ALWAYS, "application_exceptions/0", {"bundle_identifier": "a b"}, "bundle identifier"),
    (ALWAYS, "application_exceptions/0", {"bundle_identifier": "a.b", "limit_to_protocols": ["TCP"]}, "UDP"),
    (ALWAYS, "captive_portal/allowed_plugins", ["a/b"], "bundle identifier"),
    (ALWAYS, "captive_portal", {"allow_all_plugins": True, "allowed_plugins": ["a.b"]}, "Apple reads this only"),
    (["ALWAYS_ON_IKEV2", "IKEV2"], "tunnels", [a_tunnel()] * 2, "has one tunnel"),
    (["ALWAYS_ON_IKEV2", "IKEV2"], "tunnels/0/interface", "WiFi", "one tunnel for all interfaces"),
    ([DUAL], "tunnels", [a_tunnel(interface="WiFi")], "two tunnels"),
    ([DUAL], "tunnels/0/interface", None, "One tunnel is for WiFi"),
    ([DUAL], "tunnels/0/interface", "Ethernet", "WiFi, Cellular"),
    ([DUAL], "tunnels/1/interface", "WiFi", "One tunnel is for WiFi"),
    (["IKEV2"], "disconnect_on_idle_seconds", 0, "1 to 86400"),
    (["IKEV2"], "on_demand", {"rules": []}, "1 to 100 values"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("connection_types", "pointer", "value", "reason"),
    REFUSED,
    # Certificates differ from one xdist worker to the next: they must not be in names.
    ids=[f"{number}-{row[1]}" for number, row in enumerate(REFUSED)],
)
def test_what_apple_does_not_take_is_refused_with_its_place_and_rule(
    connection_types: list[str], pointer: str, value: object, reason: str
) -> None:
    for connection_type in connection_types:
        document = a_document(connection_type, identities=["A12BC3D4EFGH"], trusted_roots=[ROOT_PEM])
        document |= {"application_exceptions": [0]} if "application_exceptions/" in pointer else {}
        faults = faults_of(changed(document, pointer, value))
        [where] = [where for where in faults if where == pointer or where.startswith(f"{pointer}/")]

        assert reason in faults[where]


@pytest.mark.parametrize(
    ("dns", "pointer", "reason"),
    [
        ({"servers": []}, "servers", "1 to 20 values"),
        ({}, "servers", "required"),
        ({"servers": ["192.0.2.53"], "protocol": "QUIC"}, "protocol", "Cleartext, HTTPS, TLS"),
        ({"servers": ["192.0.2.53"], "protocol": "HTTPS"}, "server_url", "required with the protocol HTTPS"),
        ({"servers": ["192.0.2.53"], "protocol": "TLS"}, "server_name", "required with the protocol TLS"),
        ({"servers": ["192.0.2.53"], "server_url": "https://d.example/"}, "server_url", "only for the protocol HTTPS"),
        ({"servers": ["192.0.2.53"], "server_name": "d.example"}, "server_name", "only for the protocol TLS"),
        ({"servers": ["192.0.2.53"], "protocol": "HTTPS", "server_url": "http://d.example/"}, "server_url", "https URL"),
        ({"servers": ["192.0.2.53"], "protocol": "HTTPS", "server_url": "https://u:p@d.example/"}, "server_url", "https"),
        ({"servers": ["192.0.2.53"], "protocol": "HTTPS", "server_url": "https://[::1/"}, "server_url", "https URL"),
        ({"servers": ["192.0.2.53"], "protocol": "HTTPS", "server_url": "https://d.example:99999/"}, "server_url", "https"),
        ({"servers": ["192.0.2.53"], "search_domains": [""]}, "search_domains/0", "1 to 255 characters"),
        ({"servers": ["192.0.2.53"], "match_domains": ["*.a"]}, "match_domains/0", "host name"),
    ],
)  # fmt: skip
def test_name_servers_follow_apples_rules(dns: Document, pointer: str, reason: str) -> None:
    assert reason in faults_of(a_document(dns=dns))[f"dns/{pointer}"]


@pytest.mark.parametrize(
    ("rule", "pointer", "reason"),
    [
        ({}, "action", "required"),
        ({"action": "Allow"}, "action", "Connect, Disconnect"),
        ({"action": "EvaluateConnection"}, "evaluations", "required there"),
        ({"action": "Connect", "evaluations": [{"domains": ["a"], "action": "NeverConnect"}]}, "evaluations", "for the"),
        ({"action": "Connect", "ssids": ["x" * 33]}, "ssids/0", "32 octets"),
        ({"action": "Connect", "ssids": ["ü" * 17]}, "ssids/0", "32 octets"),
        ({"action": "Connect", "ssids": ["x"], "interface_type": "Cellular"}, "ssids", "never match"),
        ({"action": "Connect", "interface_type": "Wifi"}, "interface_type", "Ethernet, WiFi, Cellular"),
        ({"action": "Connect", "dns_servers": ["17.*.*"]}, "dns_servers/0", "IPv4 or IPv6"),
        ({"action": "Connect", "dns_servers": ["*"]}, "dns_servers/0", "IPv4 or IPv6"),
        ({"action": "Connect", "dns_domains": ["a.*"]}, "dns_domains/0", "host name"),
        ({"action": "Connect", "url_probe": "ftp://a.example/"}, "url_probe", "http or https"),
        ({"action": "EvaluateConnection", "evaluations": [{"action": "NeverConnect"}]},
         "evaluations/0/domains", "required"),
        ({"action": "EvaluateConnection",
          "evaluations": [{"domains": ["a"], "action": "NeverConnect", "required_dns_servers": ["192.0.2.53"]}]},
         "evaluations/0/required_dns_servers", "only for the action ConnectIfNeeded"),
    ],
)  # fmt: skip
def test_on_demand_rules_follow_apples_rules(rule: Document, pointer: str, reason: str) -> None:
    faults = faults_of(a_document("IKEV2", on_demand={"rules": [rule]}))

    assert reason in faults[f"on_demand/rules/0/{pointer}"]


def test_all_faults_are_told_at_once_in_a_steady_order() -> None:
    document = a_document(tunnels=[{"mtu": 1, "ike_security_association": {"diffie_hellman_group": 2}}])
    document |= {"on_demand": {"rules": [{"action": "Dance"}]}, "b": 1, "a": 1, "name": ""}
    del document["identity_type"]

    assert list(faults_of(document)) == [
        "a",
        "b",
        "identity_type",
        "name",
        "on_demand",
        "on_demand/rules/0/action",
        "tunnels/0/ike_security_association/diffie_hellman_group",
        "tunnels/0/local_identifier",
        "tunnels/0/mtu",
        "tunnels/0/remote_address",
        "tunnels/0/remote_identifier",
    ]


def test_a_fault_never_quotes_what_was_sent() -> None:
    canary = "hunter2-canary"
    document = a_document(name=f"{canary}\x00", identities=[canary], trusted_roots=[canary], issuer=[canary])
    document |= {f"{canary} with a space": 1}
    document["tunnels"][0] |= {"mtu": canary, "local_identifier": "{" + canary + "}"}
    faults = faults_of(document)

    assert len(faults) == 7
    assert canary not in repr(faults)


@pytest.mark.parametrize("document", [None, [], "x", 7])
def test_a_document_that_is_no_object_is_refused(document: object) -> None:
    assert faults_of(document) == {"": "This must be an object, in braces."}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda below: (
            st.lists(below) | st.dictionaries(st.sampled_from([*VpnPolicy.__annotations__, "x"]), below)
        ),
        max_leaves=20,
    )
)
def test_any_json_is_a_policy_or_refused(value: object) -> None:
    document = {**a_document(), **value} if isinstance(value, dict) else value
    try:
        VpnPolicy.from_document(document)  # type: ignore[arg-type]
    except PolicyRefused as refusal:
        assert refusal.faults


def test_a_value_made_by_hand_is_held_to_the_same_rules() -> None:
    with pytest.raises(PolicyRefused):
        SecurityAssociation(lifetime_minutes=5)
    with pytest.raises(PolicyRefused):
        Tunnel("vpn.example.com", "vpn.example.com", "{san_dns}", mtu=10)
    with pytest.raises(PolicyRefused):
        VpnPolicy("A", ConnectionType.ALWAYS_ON_IKEV2, IdentityType.IMEI, tunnels=())


@pytest.mark.parametrize("group", GROUPS)
def test_plain_ikev2_takes_every_group_that_apple_lists(group: int) -> None:
    policy = VpnPolicy.from_document(changed(a_document("IKEV2"), f"{IKE}/diffie_hellman_group", group))

    assert policy.tunnels[0].ike_security_association.diffie_hellman_group == group


def test_identities_are_kept_once_in_normal_form_and_in_order() -> None:
    document = a_document(
        identity_type="IMEI", identities=["49-015420-323751-8", "356938035643809", "490154203237518"]
    )
    policy = VpnPolicy.from_document(document)

    assert policy.document()["identities"] == ["356938035643809", "490154203237518"]
    assert policy.identities == tuple(
        DeviceIdentity.parse(IdentityType.IMEI, text) for text in ("356938035643809", "490154203237518")
    )


def test_trusted_roots_are_kept_once_and_written_alike() -> None:
    shouted = "explanation\r\n" + ROOT_PEM.replace("\n", "\r\n") + "\nmore text\n"
    policy = VpnPolicy.from_document(a_document(trusted_roots=[ROOT_PEM, shouted + a_pem()]))

    assert policy.trusted_roots == (
        a_ca()[0].public_bytes(Encoding.DER),
        a_ca("Another CA (test only)")[0].public_bytes(Encoding.DER),
    )
    assert policy.document()["trusted_roots"] == [ROOT_PEM, a_pem()]
    assert Certificates().write(policy.trusted_roots) == [ROOT_PEM, a_pem()]


@pytest.mark.parametrize(
    ("narrowing", "identity", "issuer", "is_served"),
    [
        ({}, "A12BC3D4EFGH", "CN=Test CA", True),
        ({"issuer": "test ca"}, "A12BC3D4EFGH", "CN=Test CA,O=Example", True),
        ({"issuer": "Test CA 2"}, "A12BC3D4EFGH", "CN=Test CA,O=Example", False),
        ({"identities": ["a12bc3d4efgh"]}, "A12BC3D4EFGH", "CN=Test CA", True),
        ({"identities": ["B12BC3D4EFGH"]}, "A12BC3D4EFGH", "CN=Test CA", False),
        ({"identities": ["A12BC3D4EFGH"], "issuer": "Other"}, "A12BC3D4EFGH", "CN=Test CA", False),
    ],
)
def test_a_policy_serves_whom_it_is_narrowed_to(
    narrowing: Document, identity: str, issuer: str, is_served: bool
) -> None:
    policy = VpnPolicy.from_document(a_document(**narrowing))

    assert policy.serves(DeviceIdentity.parse(IdentityType.SERIAL_NUMBER, identity), issuer) is is_served


def test_a_policy_serves_one_identity_type() -> None:
    policy = VpnPolicy.from_document(a_document(identity_type="MEID"))

    assert not policy.serves(DeviceIdentity(IdentityType.IMEI, "490154203237518"), "CN=Test CA")


@pytest.mark.parametrize(
    ("change", "is_the_same"),
    [
        ({"issuer": "Test"}, True),
        ({"identities": ["A12BC3D4EFGH"]}, True),
        ({"ui_toggle": False}, True),
        ({"service_exceptions": {"voice_mail": None}}, True),
        ({"tunnels": [a_tunnel(mobike=True, ike_security_association={"diffie_hellman_group": 14})]}, True),
        ({"tunnels": [a_tunnel(ike_security_association={"diffie_hellman_group": 19})]}, False),
        ({"name": "Another"}, False),
        ({"pkcs12_encryption": "aes256"}, False),
        ({"trusted_roots": [ROOT_PEM]}, False),
    ],
)
def test_the_content_digest_changes_with_what_devices_get_alone(change: Document, is_the_same: bool) -> None:
    before = VpnPolicy.from_document(a_document()).content_digest()
    after = VpnPolicy.from_document(a_document(**change)).content_digest()

    assert (before == after) is is_the_same
    assert len(after) == 64


def test_the_content_digest_is_the_same_in_every_release() -> None:
    # Another value would put a new profile onto every device of every fleet.
    policy = VpnPolicy.from_document(a_document("IKEV2", dns={"servers": ["192.0.2.53"]}))

    assert policy.content_digest() == "2196ec725837ec6bc3103d0f35eadc1828c3e6aac0da9138e2c0975d49b48a5c"


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{identity}", "[identity]"),
        ("{common_name}@{san_dns}", "[common_name]@[san_dns]"),
        ("{{identity}}", "{identity}"),
        ("{{{identity}}}", "{[identity]}"),
        ("%s{san_email}\\", "%s[san_email]\\"),
        ("fixed", "fixed"),
    ],
)
def test_a_template_is_filled(template: str, filled: str) -> None:
    assert no_template(template) is None
    assert fill(template, lambda field: f"[{field}]") == filled


@given(st.text(st.sampled_from("{}" + string.ascii_lowercase)) | st.text())
def test_any_text_is_a_template_that_can_be_filled_or_refused(text: str) -> None:
    if no_template(text) is None:
        assert fill(text, lambda field: "") == fill(text, dict.fromkeys(Field, "").__getitem__)


def test_what_a_field_holds_is_not_a_template_itself() -> None:
    assert fill("{identity}", lambda _: "{common_name}") == "{common_name}"
