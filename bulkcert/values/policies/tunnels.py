"""One IKEv2 tunnel, as Apple's systems can be told to make it.

Names of algorithms and their like are Apple's own; so are ranges and defaults (device-management,
com.apple.vpn.managed, IKEv2).
"""

import enum
from dataclasses import dataclass
from typing import Annotated

from bulkcert.values.policies.documents import Part, PartOf
from bulkcert.values.policies.kinds import Among, Flag, OneOf, Text, Whole
from bulkcert.values.policies.templates import no_template
from bulkcert.values.policies.texts import no_host

DIFFIE_HELLMAN_GROUPS = (1, 2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 31, 32)


class EncryptionAlgorithm(enum.StrEnum):
    """How packets are encrypted."""

    DES = "DES"
    TRIPLE_DES = "3DES"
    AES_128 = "AES-128"
    AES_256 = "AES-256"
    AES_128_GCM = "AES-128-GCM"
    AES_256_GCM = "AES-256-GCM"
    CHACHA20_POLY1305 = "ChaCha20Poly1305"


class IntegrityAlgorithm(enum.StrEnum):
    """How packets are kept from being altered; with GCM and Poly1305 it names the pseudo-random function."""

    SHA1_96 = "SHA1-96"
    SHA1_160 = "SHA1-160"
    SHA2_256 = "SHA2-256"
    SHA2_384 = "SHA2-384"
    SHA2_512 = "SHA2-512"


class DeadPeerDetection(enum.StrEnum):
    """How often the device asks whether the server is there: never, every 30, 10 or 1 minutes."""

    NONE = "None"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class Interface(enum.StrEnum):
    """What a tunnel of an Always On policy with two tunnels runs over."""

    WIFI = "WiFi"
    CELLULAR = "Cellular"


@dataclass(frozen=True)
class SecurityAssociation(Part):
    """What is negotiated for a security association (RFC 7296 §2.1); lifetime until it is made anew."""

    encryption_algorithm: Annotated[EncryptionAlgorithm, OneOf(EncryptionAlgorithm)] = (
        EncryptionAlgorithm.AES_256
    )
    integrity_algorithm: Annotated[IntegrityAlgorithm, OneOf(IntegrityAlgorithm)] = (
        IntegrityAlgorithm.SHA2_256
    )
    diffie_hellman_group: Annotated[int, Among(DIFFIE_HELLMAN_GROUPS)] = 14
    lifetime_minutes: Annotated[int, Whole(10, 1440, "minutes, Apple's range")] = 1440


@dataclass(frozen=True)
class Tunnel(Part):
    """How a device reaches one VPN server and what the two tell each other.

    remote_address: host name or IP address. remote_identifier: what the server calls itself; it stands in
    the server's certificate, unless server_certificate_common_name says what stands there.
    local_identifier: template (`templates`) of what the device calls itself. server_certificate_issuer:
    common name of the CA of the server's certificate; Apple's schema asks for it together with the type of
    the device's key, which a profile always names. child_security_association: None is as the IKE one.
    nat_keepalive_interval_seconds: None is Apple's choice (20 on Wi-Fi, 110 on cellular). mtu: bytes; None
    is Apple's choice (1280). fallback: a second tunnel over cellular for what Wi-Fi Assist moves there.
    """

    remote_address: Annotated[str, Text(no_host)]
    remote_identifier: Annotated[str, Text()]
    local_identifier: Annotated[str, Text(no_template)]
    interface: Annotated[Interface | None, OneOf(Interface)] = None
    server_certificate_issuer: Annotated[str | None, Text()] = None
    server_certificate_common_name: Annotated[str | None, Text()] = None
    ike_security_association: Annotated[SecurityAssociation, PartOf(SecurityAssociation)] = (
        SecurityAssociation()
    )
    child_security_association: Annotated[SecurityAssociation | None, PartOf(SecurityAssociation)] = None
    dead_peer_detection: Annotated[DeadPeerDetection, OneOf(DeadPeerDetection)] = DeadPeerDetection.MEDIUM
    mobike: Annotated[bool, Flag()] = True
    redirect: Annotated[bool, Flag()] = True
    perfect_forward_secrecy: Annotated[bool, Flag()] = False
    certificate_revocation_check: Annotated[bool, Flag()] = False
    nat_keepalive_offload: Annotated[bool, Flag()] = True
    nat_keepalive_interval_seconds: Annotated[
        int | None, Whole(20, 86_400, "seconds; Apple's least is 20, a day is the most that is taken here")
    ] = None
    mtu: Annotated[int | None, Whole(1280, 1400, "bytes, Apple's range")] = None
    use_internal_subnets: Annotated[bool, Flag()] = False
    fallback: Annotated[bool, Flag()] = False
