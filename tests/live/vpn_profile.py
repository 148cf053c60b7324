"""What a `.mobileconfig` says about its IKEv2 tunnel, in strongSwan's words; nothing comes from anywhere else."""

import contextlib
import plistlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

ENCRYPTION = {
    "3DES": "3des",
    "AES-128": "aes128",
    "AES-256": "aes256",
    "AES-128-GCM": "aes128gcm16",
    "AES-256-GCM": "aes256gcm16",
    "ChaCha20Poly1305": "chacha20poly1305",
}
AEAD = ("AES-128-GCM", "AES-256-GCM", "ChaCha20Poly1305")
INTEGRITY = {
    "SHA1-96": "sha1",
    "SHA1-160": "sha1_160",
    "SHA2-256": "sha256",
    "SHA2-384": "sha384",
    "SHA2-512": "sha512",
}
GROUPS = {
    1: "modp768",
    2: "modp1024",
    5: "modp1536",
    14: "modp2048",
    15: "modp3072",
    16: "modp4096",
    17: "modp6144",
    18: "modp8192",
    19: "ecp256",
    20: "ecp384",
    21: "ecp521",
    31: "curve25519",
    32: "curve448",
}
DPD_SECONDS = {"None": 0, "Low": 1800, "Medium": 600, "High": 60}


@dataclass(frozen=True)
class Tunnel:
    """One IKEv2 tunnel as the profile says it, in strongSwan's words. `pkcs12` and `password` never print."""

    remote_address: str
    local_identifier: str
    remote_identifier: str
    ike_proposal: str
    esp_proposal: str
    ike_minutes: int
    child_minutes: int
    dpd_seconds: int
    mobike: bool
    trusted_roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]
    pkcs12: bytes = field(repr=False)
    password: str = field(repr=False)


def read_profile(profile: bytes, number: int = 0) -> Tunnel:
    """Read the VPN payload of an unsigned profile and the payloads that it points to.

    `number` chooses among the tunnels of an AlwaysOn payload. A missing key or payload is a `ValueError`: no
    value is made up, except those that Apple's schema names as the default.
    """
    payloads: list[dict[str, Any]] = plistlib.loads(profile)["PayloadContent"]
    [vpn] = [payload for payload in payloads if payload["PayloadType"] == "com.apple.vpn.managed"]
    try:
        ikev2 = (
            vpn["AlwaysOn"]["TunnelConfigurations"][number] if vpn["VPNType"] == "AlwaysOn" else vpn["IKEv2"]
        )
        if ikev2["AuthenticationMethod"] != "Certificate" or ikev2.get("ProtocolType", "IKEv2") != "IKEv2":
            raise ValueError("the tunnel does not use IKEv2 with a certificate")
        return _tunnel(ikev2, _identity(payloads, ikev2["PayloadCertificateUUID"]), _certificates(payloads))
    except (KeyError, IndexError) as missing:
        raise ValueError(f"missing or not known: {missing}") from missing


def _identity(payloads: list[dict[str, Any]], uuid: str) -> dict[str, Any]:
    for payload in payloads:
        if payload["PayloadUUID"] == uuid and payload["PayloadType"] == "com.apple.security.pkcs12":
            return payload
    raise ValueError("PayloadCertificateUUID names no PKCS#12 payload")


def _certificates(payloads: list[dict[str, Any]]) -> list[x509.Certificate]:
    found = []
    for payload in payloads:
        if payload["PayloadType"] in ("com.apple.security.root", "com.apple.security.pkcs1"):
            found.append(x509.load_der_x509_certificate(payload["PayloadContent"]))
        if payload["PayloadType"] == "com.apple.security.pem":
            found += x509.load_pem_x509_certificates(payload["PayloadContent"])
    return found


def _tunnel(
    ikev2: Mapping[str, Any], identity: Mapping[str, Any], certificates: list[x509.Certificate]
) -> Tunnel:
    ike = ikev2.get("IKESecurityAssociationParameters", {})
    child = ikev2.get("ChildSecurityAssociationParameters", ike)  # Apple: the IKE SA's unless it has its own
    return Tunnel(
        remote_address=ikev2["RemoteAddress"],
        local_identifier=ikev2["LocalIdentifier"],
        remote_identifier=ikev2["RemoteIdentifier"],
        ike_proposal=ike_proposal(ike),
        esp_proposal=esp_proposal(child, pfs=ikev2.get("EnablePFS", 0) == 1),
        ike_minutes=ike.get("LifeTimeInMinutes", 1440),
        child_minutes=child.get("LifeTimeInMinutes", 1440),
        dpd_seconds=DPD_SECONDS[ikev2.get("DeadPeerDetectionRate", "Medium")],
        mobike=ikev2.get("DisableMOBIKE", 0) == 0,
        trusted_roots=tuple(certificate for certificate in certificates if _is_root(certificate)),
        intermediates=tuple(certificate for certificate in certificates if not _is_root(certificate)),
        pkcs12=identity["PayloadContent"],
        password=identity.get("Password", ""),
    )


def _is_root(certificate: x509.Certificate) -> bool:
    with contextlib.suppress(ValueError, InvalidSignature):
        certificate.verify_directly_issued_by(certificate)
        return True
    return False


def ike_proposal(parameters: Mapping[str, Any]) -> str:
    """Apple's IKE SA parameters as a proposal of swanctl.conf; an AEAD leaves the integrity word to the PRF."""
    cipher, integrity, group = _algorithms(parameters)
    return "-".join((cipher, f"prf{integrity}" if _is_aead(parameters) else integrity, group))


def esp_proposal(parameters: Mapping[str, Any], *, pfs: bool) -> str:
    """Apple's child SA parameters as a proposal of swanctl.conf; without PFS there is no group."""
    cipher, integrity, group = _algorithms(parameters)
    return "-".join([cipher] + [integrity] * (not _is_aead(parameters)) + [group] * pfs)


def _algorithms(parameters: Mapping[str, Any]) -> tuple[str, str, str]:
    return (
        ENCRYPTION[parameters.get("EncryptionAlgorithm", "AES-256")],
        INTEGRITY[parameters.get("IntegrityAlgorithm", "SHA2-256")],
        GROUPS[parameters.get("DiffieHellmanGroup", 14)],
    )


def _is_aead(parameters: Mapping[str, Any]) -> bool:
    return parameters.get("EncryptionAlgorithm", "AES-256") in AEAD
