"""Apple's rules for the payloads that profiles here have, as a table of our own, and a checker that uses it.

Taken by hand from github.com/apple/device-management b6202ca (iOS 18.1, MIT): TopLevel, CommonPayloadKeys,
com.apple.security.{pkcs12,pkcs1,root}, com.apple.vpn.managed. Keys that profiles here never have are left
out, so an unexpected key is a fault. The IKEv2 keys stand flat in each Always On tunnel. It knows nothing of
the code that makes profiles.
"""

import plistlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

LEAST_GROUP_OF_ALWAYS_ON = 14


@dataclass(frozen=True)
class Key:
    """What Apple says of one key. `type` is Python's of the plist value: bool is no int here."""

    type: type
    required: bool = False
    among: tuple[object, ...] = ()
    least: int | None = None
    most: int | None = None
    keys: Mapping[str, "Key"] | None = None
    items: "Key | None" = None


def needed(kind: type, **rules: Any) -> Key:
    return Key(kind, True, **rules)


def array(items: Key, required: bool = False) -> Key:
    return Key(list, required, items=items)


YES_NO = Key(int, among=(0, 1))
TEXT = Key(str)
TEXTS = array(TEXT)

COMMON = {
    "PayloadType": needed(str),
    "PayloadVersion": needed(int, among=(1,)),
    "PayloadIdentifier": needed(str),
    "PayloadUUID": needed(str),
    "PayloadDisplayName": TEXT,
    "PayloadDescription": TEXT,
    "PayloadOrganization": TEXT,
}
TOP = {
    **COMMON,
    "PayloadType": needed(str, among=("Configuration",)),
    "PayloadContent": array(Key(dict), required=True),
    "PayloadRemovalDisallowed": Key(bool),
}
ASSOCIATION = Key(
    dict,
    keys={
        "EncryptionAlgorithm": Key(
            str, among=("DES", "3DES", "AES-128", "AES-256", "AES-128-GCM", "AES-256-GCM", "ChaCha20Poly1305")
        ),
        "IntegrityAlgorithm": Key(str, among=("SHA1-96", "SHA1-160", "SHA2-256", "SHA2-384", "SHA2-512")),
        "DiffieHellmanGroup": Key(int, among=(1, 2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 31, 32)),
        "LifeTimeInMinutes": Key(int, least=10, most=1440),
    },
)
TUNNEL = {
    "RemoteAddress": needed(str),
    "LocalIdentifier": needed(str),
    "RemoteIdentifier": needed(str),
    "AuthenticationMethod": needed(str, among=("Certificate",)),
    "PayloadCertificateUUID": needed(str),
    "CertificateType": needed(str, among=("RSA", "ECDSA256", "ECDSA384", "ECDSA521")),
    "ServerCertificateIssuerCommonName": TEXT,
    "ServerCertificateCommonName": TEXT,
    "ExtendedAuthEnabled": Key(int, among=(0,)),
    "DeadPeerDetectionRate": Key(str, among=("None", "Low", "Medium", "High")),
    **dict.fromkeys(
        [
            "DisableMOBIKE", "DisableRedirect", "EnablePFS", "EnableCertificateRevocationCheck", "EnableFallback",
            "NATKeepAliveOffloadEnable", "UseConfigurationAttributeInternalIPSubnet",
        ],
        YES_NO,
    ),
    "NATKeepAliveInterval": Key(int, least=20),
    "MTU": Key(int, least=1280, most=1400),
    "IKESecurityAssociationParameters": ASSOCIATION,
    "ChildSecurityAssociationParameters": ASSOCIATION,
}  # fmt: skip
EVALUATION = Key(
    dict,
    keys={
        "Domains": array(TEXT, required=True),
        "DomainAction": needed(str, among=("ConnectIfNeeded", "NeverConnect")),
        "RequiredDNSServers": TEXTS,
        "RequiredURLStringProbe": TEXT,
    },
)
RULE = Key(
    dict,
    keys={
        "Action": needed(str, among=("Connect", "Disconnect", "EvaluateConnection", "Ignore")),
        "ActionParameters": array(EVALUATION),
        "DNSDomainMatch": TEXTS,
        "DNSServerAddressMatch": TEXTS,
        "InterfaceTypeMatch": Key(str, among=("Ethernet", "WiFi", "Cellular")),
        "SSIDMatch": TEXTS,
        "URLStringProbe": TEXT,
    },
)
IKEV2 = {
    **TUNNEL,
    **dict.fromkeys(
        [
            "OnDemandEnabled", "OnDemandUserOverrideDisabled", "DisconnectOnIdle", "IncludeAllNetworks",
            "EnforceRoutes", "ExcludeLocalNetworks", "ExcludeCellularServices", "ExcludeAPNs",
            "ExcludeDeviceCommunication",
        ],
        YES_NO,
    ),
    "OnDemandRules": array(RULE),
    "DisconnectOnIdleTimer": Key(int),
}  # fmt: skip
ALWAYS_ON_TUNNEL = {
    **TUNNEL,
    "ProtocolType": needed(str, among=("IKEv2",)),
    "Interfaces": array(Key(str, among=("Cellular", "WiFi"))),
}
SERVICE_EXCEPTION = Key(
    dict,
    keys={
        "ServiceName": needed(
            str, among=("VoiceMail", "AirPrint", "CellularServices", "DeviceCommunication")
        ),
        "Action": needed(str, among=("Allow", "Drop")),
    },
)
APPLICATION_EXCEPTION = Key(
    dict, keys={"BundleIdentifier": needed(str), "LimitToProtocols": array(Key(str, among=("UDP",)))}
)
ALWAYS_ON = {
    "UIToggleEnabled": YES_NO,
    "TunnelConfigurations": array(Key(dict, keys=ALWAYS_ON_TUNNEL), required=True),
    "ServiceExceptions": array(SERVICE_EXCEPTION),
    "ApplicationExceptions": array(APPLICATION_EXCEPTION),
    "AllowCaptiveWebSheet": YES_NO,
    "AllowAllCaptiveNetworkPlugins": YES_NO,
    "AllowedCaptiveNetworkPlugins": array(Key(dict, keys={"BundleIdentifier": needed(str)})),
}
DNS = {
    "DNSProtocol": needed(str, among=("Cleartext", "HTTPS", "TLS")),
    "ServerAddresses": array(TEXT, required=True),
    "ServerURL": TEXT,
    "ServerName": TEXT,
    "DomainName": TEXT,
    "SearchDomains": TEXTS,
    "SupplementalMatchDomains": TEXTS,
    "SupplementalMatchDomainsNoSearch": YES_NO,
}
CERTIFICATE = {**COMMON, "PayloadContent": needed(bytes)}
PAYLOADS: dict[str, dict[str, Key]] = {
    "com.apple.security.pkcs12": {**CERTIFICATE, "Password": needed(str)},
    "com.apple.security.pkcs1": CERTIFICATE,
    "com.apple.security.root": CERTIFICATE,
    "com.apple.vpn.managed": {
        **COMMON,
        "VPNType": needed(str, among=("IKEv2", "AlwaysOn")),
        "UserDefinedName": needed(str),
        "IKEv2": Key(dict, keys=IKEV2),
        "AlwaysOn": Key(dict, keys=ALWAYS_ON),
        "DNS": Key(dict, keys=DNS),
    },
}
CURVES = {"secp256r1": "ECDSA256", "secp384r1": "ECDSA384", "secp521r1": "ECDSA521"}


@dataclass
class Profile:
    """A profile that was read, and what is wrong with it."""

    content: dict[str, Any]
    faults: list[str] = field(default_factory=list)

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [payload for payload in self.content["PayloadContent"] if payload.get("PayloadType") == kind]

    @property
    def identity(self) -> dict[str, Any]:
        [payload] = self.of_type("com.apple.security.pkcs12")
        return payload

    @property
    def vpn(self) -> dict[str, Any]:
        [payload] = self.of_type("com.apple.vpn.managed")
        return payload

    @property
    def tunnels(self) -> list[dict[str, Any]]:
        vpn = self.vpn
        if vpn["VPNType"] == "IKEv2":
            return [vpn["IKEv2"]]
        return list(vpn["AlwaysOn"]["TunnelConfigurations"])

    def open_pkcs12(self) -> pkcs12.PKCS12KeyAndCertificates:
        return pkcs12.load_pkcs12(self.identity["PayloadContent"], self.identity["Password"].encode())


def read_profile(profile: bytes) -> Profile:
    """Read an unsigned profile and check all of Apple's rules."""
    read = Profile(plistlib.loads(profile))
    read.faults += _faults_of_keys(read.content, TOP, "")
    for place, payload in enumerate(read.content.get("PayloadContent", [])):
        where, kind = f"PayloadContent/{place}", payload.get("PayloadType")
        read.faults += (
            _faults_of_keys(payload, PAYLOADS[kind], where) if kind in PAYLOADS else [f"{where}: {kind}"]
        )
    for check in (_faults_of_names, _faults_of_tunnels, _faults_of_identity):
        if not read.faults:  # each builds on what the one before has found sound
            read.faults += check(read)
    return read


def _faults_of_keys(content: Mapping[str, Any], keys: Mapping[str, Key], where: str) -> Iterator[str]:
    yield from (
        f"{where}/{name}: is required" for name, key in keys.items() if key.required and name not in content
    )
    for name, value in content.items():
        if name not in keys:
            yield f"{where}/{name}: is no key of Apple's"
        else:
            yield from _faults_of_value(value, keys[name], f"{where}/{name}")


def _faults_of_value(value: Any, key: Key, where: str) -> Iterator[str]:
    if type(value) is not key.type:
        yield f"{where}: is {type(value).__name__}, not {key.type.__name__}"
        return
    if key.among and value not in key.among:
        yield f"{where}: {value!r} is not among {key.among}"
    if (key.least is not None and value < key.least) or (key.most is not None and value > key.most):
        yield f"{where}: {value} is out of range"
    if key.required and value in ("", [], b""):
        yield f"{where}: is empty"
    if key.keys is not None:
        yield from _faults_of_keys(value, key.keys, where)
    if key.items is not None:
        for place, item in enumerate(value):
            yield from _faults_of_value(item, key.items, f"{where}/{place}")


def _faults_of_names(profile: Profile) -> Iterator[str]:
    parts = [profile.content, *profile.content["PayloadContent"]]
    for name in ("PayloadUUID", "PayloadIdentifier"):
        if len({part[name] for part in parts}) != len(parts):
            yield f"{name}: stands twice"
    for part in parts:
        if str(uuid.UUID(part["PayloadUUID"])).upper() != part["PayloadUUID"]:
            yield f"PayloadUUID: {part['PayloadUUID']} is not in the usual form"
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", part["PayloadIdentifier"]):
            yield f"PayloadIdentifier: {part['PayloadIdentifier']} is not reverse DNS"


def _faults_of_tunnels(profile: Profile) -> Iterator[str]:
    vpn = profile.vpn
    if vpn["VPNType"] not in vpn or ({"IKEv2", "AlwaysOn"} - {vpn["VPNType"]}) & set(vpn):
        yield "VPNType: the dictionary of the type, and of no other, must be there"
        return
    interfaces = [name for tunnel in profile.tunnels for name in tunnel.get("Interfaces", [])]
    if vpn["VPNType"] == "AlwaysOn" and sorted(interfaces) != ["Cellular", "WiFi"]:
        yield "Interfaces: each must have one tunnel"
    identities = {payload["PayloadUUID"] for payload in profile.of_type("com.apple.security.pkcs12")}
    for tunnel in profile.tunnels:
        if tunnel["PayloadCertificateUUID"] not in identities:
            yield "PayloadCertificateUUID: names no identity payload"
        for name in ("IKESecurityAssociationParameters", "ChildSecurityAssociationParameters"):
            group = tunnel.get(name, {}).get("DiffieHellmanGroup", LEAST_GROUP_OF_ALWAYS_ON)
            if vpn["VPNType"] == "AlwaysOn" and group < LEAST_GROUP_OF_ALWAYS_ON:
                yield f"{name}/DiffieHellmanGroup: Always On needs 14 or higher"


def _faults_of_identity(profile: Profile) -> Iterator[str]:
    try:
        opened = profile.open_pkcs12()
    except ValueError:
        yield "pkcs12: does not open with its Password"
        return
    if opened.key is None or opened.cert is None or opened.additional_certs:
        yield "pkcs12: must hold a key and its certificate, and nothing else"
        return
    certificate, key = opened.cert.certificate, opened.key.public_key()
    if certificate.public_key() != key:
        yield "pkcs12: key and certificate do not belong together"
    for tunnel in profile.tunnels:
        if tunnel["LocalIdentifier"] not in _names_of(certificate):
            yield "LocalIdentifier: does not stand in the certificate"
        is_right = (isinstance(key, rsa.RSAPublicKey) and tunnel["CertificateType"] == "RSA") or (
            isinstance(key, ec.EllipticCurvePublicKey)
            and tunnel["CertificateType"] == CURVES.get(key.curve.name)
        )
        if not is_right:
            yield "CertificateType: is not that of the key"


def _names_of(certificate: x509.Certificate) -> set[str]:
    names = {str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    return names | {str(name.value) for name in alternative}
