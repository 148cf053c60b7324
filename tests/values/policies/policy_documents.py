"""JSON forms of VPN policies, with good defaults, and strategies that make any that is taken."""

import copy
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import strategies as st

from tests.builders import a_ca, a_certificate, an_ec_key

Document = dict[str, Any]

ROOT_PEM = a_ca()[0].public_bytes(Encoding.PEM).decode()
GROUPS = [1, 2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 31, 32]


def a_tunnel(**members: object) -> Document:
    return {
        "remote_address": "vpn.example.com",
        "remote_identifier": "vpn.example.com",
        "local_identifier": "{san_dns}",
        **members,
    }


def a_document(connection_type: str = "ALWAYS_ON_IKEV2", **members: object) -> Document:
    interfaces = ["WiFi", "Cellular"] if connection_type == "ALWAYS_ON_IKEV2_DUAL" else [None]
    return {
        "name": "Fleet VPN",
        "connection_type": connection_type,
        "identity_type": "SERIAL_NUMBER",
        "tunnels": [a_tunnel(interface=interface) for interface in interfaces],
        **members,
    }


def changed(document: Document, pointer: str, value: object) -> Document:
    """A copy with another value at a place, as `tunnels/0/mtu`."""
    document = copy.deepcopy(document)
    *above, last = pointer.split("/")
    place: Any = document
    for step in above:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[int(last) if isinstance(place, list) else last] = value
    return document


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=100)
hosts = st.sampled_from(
    ["vpn.example.com", "a", "192.0.2.7", "2001:db8::7", "xn--bcher-kva.example", "10.example"]
)
domains = st.lists(st.sampled_from(["example.com", "corp.example", "a.b.c.d"]), max_size=3)
addresses = st.lists(st.sampled_from(["192.0.2.53", "2001:db8::53"]), min_size=1, max_size=3)
bundles = st.sampled_from(["com.example.app", "com.example.other-app"])
flags = st.booleans()
templates = st.sampled_from(
    [
        "{san_dns}",
        "{san_email}",
        "{identity}",
        "{common_name}",
        "a12bc3d4efgh.example.com",
        "{identity}.example.com",
    ]
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def objects(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """Objects of any of these members: each stands there or is left out."""
    return st.fixed_dictionaries({}, optional=members)


def associations(groups: list[int]) -> st.SearchStrategy[Document]:
    return objects(
        encryption_algorithm=st.sampled_from(
            ["DES", "3DES", "AES-128", "AES-256", "AES-128-GCM", "AES-256-GCM", "ChaCha20Poly1305"]
        ),
        integrity_algorithm=st.sampled_from(["SHA1-96", "SHA1-160", "SHA2-256", "SHA2-384", "SHA2-512"]),
        diffie_hellman_group=st.sampled_from(groups),
        lifetime_minutes=st.integers(10, 1440),
    )


def tunnels(interface: str | None, groups: list[int]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {
            "remote_address": hosts,
            "remote_identifier": texts,
            "local_identifier": templates,
            "interface": st.just(interface),
        },
        optional={
            "server_certificate_issuer": maybe(texts),
            "server_certificate_common_name": maybe(texts),
            "ike_security_association": associations(groups),
            "child_security_association": maybe(associations(groups)),
            "dead_peer_detection": st.sampled_from(["None", "Low", "Medium", "High"]),
            "nat_keepalive_interval_seconds": maybe(st.integers(20, 86_400)),
            "mtu": maybe(st.integers(1280, 1400)),
            **dict.fromkeys(
                [
                    "mobike",
                    "redirect",
                    "perfect_forward_secrecy",
                    "certificate_revocation_check",
                    "nat_keepalive_offload",
                    "use_internal_subnets",
                    "fallback",
                ],
                flags,
            ),
        },
    )


plain_dns = objects(
    domain=maybe(st.just("corp.example")),
    search_domains=domains,
    match_domains=st.lists(st.sampled_from(["", "example.com"]), max_size=2),
    match_domains_are_searched=flags,
)
dns = st.builds(
    lambda servers, members, protocol: {"servers": servers, **members, **protocol},
    addresses,
    plain_dns,
    st.sampled_from(
        [
            {"protocol": "Cleartext"},
            {},
            {"protocol": "HTTPS", "server_url": "https://dns.example.com/dns-query{?dns}"},
            {"protocol": "TLS", "server_name": "dns.example.com"},
        ]
    ),
)
evaluations = st.fixed_dictionaries(
    {"domains": st.just(["*.example.com"]), "action": st.just("ConnectIfNeeded")},
    optional={
        "required_dns_servers": addresses,
        "required_url_probe": maybe(st.just("https://probe.example.com/")),
    },
)
rules = st.one_of(
    st.fixed_dictionaries(
        {"action": st.sampled_from(["Connect", "Disconnect", "Ignore"])},
        optional={
            "interface_type": st.sampled_from([None, "WiFi"]),
            "ssids": st.lists(st.sampled_from(["guests", "Büro"]), max_size=2),
            "dns_domains": domains,
            "dns_servers": st.lists(st.sampled_from(["17.*", "192.0.2.53"]), max_size=2),
            "url_probe": maybe(st.just("http://probe.example.com:8080/")),
        },
    ),
    st.fixed_dictionaries(
        {
            "action": st.just("EvaluateConnection"),
            "evaluations": st.lists(evaluations, min_size=1, max_size=2),
        }
    ),
)
of_ikev2 = objects(
    on_demand=maybe(
        st.fixed_dictionaries(
            {"rules": st.lists(rules, min_size=1, max_size=3)}, optional={"user_override_disabled": flags}
        )
    ),
    routing=maybe(
        objects(
            **dict.fromkeys(
                [
                    "include_all_networks",
                    "enforce_routes",
                    "exclude_local_networks",
                    "exclude_cellular_services",
                    "exclude_apns",
                    "exclude_device_communication",
                ],
                flags,
            )
        )
    ),
    disconnect_on_idle_seconds=maybe(st.integers(1, 86_400)),
)
of_always_on = objects(
    ui_toggle=flags,
    service_exceptions=objects(
        **dict.fromkeys(
            ["voice_mail", "air_print", "cellular_services", "device_communication"],
            st.sampled_from([None, "Allow", "Drop"]),
        )
    ),
    application_exceptions=st.lists(
        st.fixed_dictionaries(
            {"bundle_identifier": bundles}, optional={"limit_to_protocols": st.sampled_from([[], ["UDP"]])}
        ),
        max_size=2,
    ),
    captive_portal=st.one_of(
        objects(allow_web_sheet=flags, allow_all_plugins=flags),
        objects(allow_web_sheet=flags, allowed_plugins=st.lists(bundles, max_size=2)),
    ),
)
of_all = objects(
    issuer=maybe(st.just("Test CA")),
    identities=maybe(st.lists(st.sampled_from(["A12BC3D4EFGH", "b12bc3d4efgh"]), min_size=1, max_size=3)),
    trusted_roots=st.sampled_from([[], [ROOT_PEM], [ROOT_PEM + ROOT_PEM]]),
    dns=maybe(dns),
    pkcs12_encryption=st.sampled_from(["apple_legacy", "aes256"]),
    profile=objects(display_name=maybe(texts), organization=maybe(texts), removal_disallowed=flags),
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    connection_type = draw(st.sampled_from(["ALWAYS_ON_IKEV2", "ALWAYS_ON_IKEV2_DUAL", "IKEV2"]))
    groups = GROUPS if connection_type == "IKEV2" else GROUPS[3:]
    interfaces = ["Cellular", "WiFi"] if connection_type == "ALWAYS_ON_IKEV2_DUAL" else [None]
    return {
        "name": draw(texts),
        "connection_type": connection_type,
        "identity_type": "SERIAL_NUMBER",
        "tunnels": [draw(tunnels(interface, groups)) for interface in interfaces],
        **draw(of_all),
        **draw(of_ikev2 if connection_type == "IKEV2" else of_always_on),
    }


def a_pem(*, client: bool = False) -> str:
    certificate = a_certificate(an_ec_key()) if client else a_ca("Another CA (test only)")[0]
    return certificate.public_bytes(Encoding.PEM).decode()
