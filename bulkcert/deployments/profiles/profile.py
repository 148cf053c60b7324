"""The configuration profile of one device under one VPN policy (`.mobileconfig`).

What its names are for, since Apple's systems go by them:

- The profile's PayloadIdentifier is the same for a policy and a device, always: a profile with the same
  identifier replaces the one that is there (TopLevel.yaml), and RemoveProfile names it.
- The profile's PayloadUUID changes with the certificate and with what the policy puts on devices, and with
  nothing else. ProfileList answers it: so what a device has can be told from what it should have.
- "During a profile replacement, the system updates payloads with the same PayloadIdentifier and PayloadUUID"
  (CommonPayloadKeys.yaml). So the VPN payload keeps its UUID: the connection is changed, not made anew, and
  the user's choices about it stay. The identity payload's UUID changes with the certificate: the new key is
  added and the old one goes, and the connection names the new one.
"""

import base64
import plistlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bulkcert.deployments.profiles.fit import Fit, check_fit
from bulkcert.deployments.profiles.payloads import (
    Dictionary,
    derive_uuid,
    make_certificate,
    make_identity,
    make_payload,
    make_vpn,
)
from bulkcert.deployments.profiles.signing import ProfileSigner
from bulkcert.formats.pkcs12.making import make_pkcs12
from bulkcert.formats.x509 import parse_certificate
from bulkcert.values.certificates import Certificate
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.secret import Secret

NAMESPACE = "com.bulkcert.vpn"
"""What identifiers of profiles begin with where the settings say nothing else (reverse DNS)."""

_PASSWORD_BYTES = 18


@dataclass(frozen=True)
class DeviceChain:
    """A device's identity with its certificate, and the chain of that in order, as DER."""

    identity: DeviceIdentity
    leaf: Certificate
    chain: tuple[bytes, ...]


def profile_identifier(policy_id: int | str, identity: DeviceIdentity, namespace: str = NAMESPACE) -> str:
    """Return the identifier of a device's profile under a policy; RemoveProfile takes it off.

    A policy has one identity type, so the identity's value is enough.
    """
    return f"{namespace}.{policy_id}.{identity.value}"


def profile_uuid(identifier: str, policy: VpnPolicy, fingerprint_sha256: str) -> str:
    """Return the UUID of the profile of a certificate (64 hex digits) under a policy as it is now."""
    return derive_uuid(identifier, policy.content_digest(), fingerprint_sha256)


def make_profile(
    policy: VpnPolicy, identifier: str, device: DeviceChain, fit: Fit, pkcs12: Secret, password: Secret
) -> Secret:
    """Make the profile: a property list in XML, the same for the same arguments.

    identifier: as `profile_identifier` gives it. fit: as `check_fit` gives it for these two. pkcs12: of the
    device's key and leaf alone ("only one certificate may be included", Apple); the chain and the trusted
    roots get payloads of their own. password: printable ASCII.
    """
    facts = device.leaf.facts
    identity_uuid = derive_uuid(f"{identifier}.identity", facts.fingerprint_sha256)
    authorities = [parse_certificate(der) for der in dict.fromkeys((*device.chain, *policy.trusted_roots))]
    payloads = [
        make_identity(f"{identifier}.identity", identity_uuid, device.identity.value, pkcs12, password),
        *(make_certificate(identifier, authority) for authority in authorities),
        make_vpn(f"{identifier}.vpn", derive_uuid(f"{identifier}.vpn"), policy, fit, identity_uuid),
    ]
    profile = _configuration(policy, identifier, facts.fingerprint_sha256, payloads)
    return Secret(plistlib.dumps(profile, sort_keys=True))


def _configuration(
    policy: VpnPolicy, identifier: str, fingerprint_sha256: str, payloads: list[Dictionary]
) -> Dictionary:
    texts = policy.profile
    content: Dictionary = {"PayloadContent": payloads, "PayloadRemovalDisallowed": texts.removal_disallowed}
    if texts.organization:
        content["PayloadOrganization"] = texts.organization
    shown = texts.display_name or policy.name
    own_uuid = profile_uuid(identifier, policy, fingerprint_sha256)
    return make_payload("Configuration", identifier, own_uuid, shown, content)


class ProfileMaker:
    """Makes profiles ready for devices, each with a PKCS#12 and a password of its own."""

    def __init__(
        self,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        signer: ProfileSigner | None = None,
        namespace: str = NAMESPACE,
    ) -> None:
        self._now = now
        self._random_bytes = random_bytes
        self._signer = signer
        self._namespace = namespace

    def identifier(self, policy_id: int | str, identity: DeviceIdentity) -> str:
        """Return the identifier of a device's profile under a policy, as `make` writes it."""
        return profile_identifier(policy_id, identity, self._namespace)

    def make(
        self, policy: VpnPolicy, policy_id: int | str, device: DeviceChain, private_key: Secret
    ) -> Secret:
        """Make a device's profile: XML, or CMS (RFC 5652) around it where there is a signer.

        policy_id: where text, letters, digits and hyphens. private_key: PKCS#8 DER of the leaf's key. Raises
        the `NotFit` that says why the certificate cannot be used. What is returned holds the key and its
        password: its release is recorded before it leaves.
        """
        fit = check_fit(policy, device.identity, device.leaf, self._now())
        password = Secret(base64.urlsafe_b64encode(self._random_bytes(_PASSWORD_BYTES)))
        # Alone: the chain has payloads of its own, and Apple's systems take one certificate in a PKCS#12.
        pkcs12 = make_pkcs12(
            private_key, device.leaf.der, (), device.identity.value, password, policy.pkcs12_encryption
        )
        identifier = self.identifier(policy_id, device.identity)
        profile = make_profile(policy, identifier, device, fit, pkcs12, password)
        return self._signer.sign(profile) if self._signer else profile
