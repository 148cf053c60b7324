"""Whether a device certificate fits a VPN policy; where it does not, why, before anything is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bulkcert.deployments.profiles.certificate_names import CertificateNames, read_names
from bulkcert.errors.policies import (
    CertificateHasExpired,
    CertificateNotYetValid,
    FieldNotInCertificate,
    KeyTypeNotAccepted,
    LocalIdentifierNotInCertificate,
    UsageNotClientAuth,
)
from bulkcert.formats.x509 import allows_client_auth, has_pss_key, public_key_of
from bulkcert.values.certificates import Certificate
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.policies import Field, VpnPolicy, fill

_CURVES = {"secp256r1": "ECDSA256", "secp384r1": "ECDSA384", "secp521r1": "ECDSA521"}


@dataclass(frozen=True)
class Fit:
    """What a certificate that fits a policy gives for it.

    certificate_type: Apple's CertificateType. local_identifiers: what the device calls itself in each tunnel
    of the policy, in their order.
    """

    certificate_type: str
    local_identifiers: tuple[str, ...]


def check_fit(policy: VpnPolicy, identity: DeviceIdentity, leaf: Certificate, now: datetime) -> Fit:
    """Raise the `NotFit` that says why a device cannot use its certificate with a policy.

    leaf: as `formats.x509.parse_certificate` gives it. now: aware. Whether the policy is meant for the
    device is another question (`VpnPolicy.serves`).
    """
    _check_validity(leaf, now)
    if not allows_client_auth(leaf):
        raise UsageNotClientAuth("The certificate's extended key usage does not allow client authentication.")
    kind, names = _certificate_type(leaf), read_names(leaf)
    value_of = _reader(identity, names)
    identifiers = tuple(fill(tunnel.local_identifier, value_of) for tunnel in policy.tunnels)
    for identifier in identifiers:
        _check_identifier(identifier, names)
    return Fit(kind, identifiers)


def _certificate_type(leaf: Certificate) -> str:
    """Return Apple's CertificateType for a certificate's key, or raise `KeyTypeNotAccepted`.

    RSA and the three curves. An Apple guide of 2014 says that Always On takes RSA alone; the schema does not.
    A key of the type id-RSASSA-PSS signs by that scheme alone, which Apple's systems know since iOS 17
    (NEVPNIKEv2CertificateTypeRSAPSS); how the CA signed the certificate does not matter here.
    """
    key = public_key_of(leaf)
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA-PSS" if has_pss_key(leaf) else "RSA"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise KeyTypeNotAccepted("Apple's IKEv2 takes RSA keys and EC keys on P-256, P-384 and P-521.")


def _reader(identity: DeviceIdentity, names: CertificateNames) -> Callable[[Field], str]:
    values: dict[Field, str | None] = {
        Field.IDENTITY: identity.value,
        Field.SAN_DNS: names.dns[0] if names.dns else None,
        Field.SAN_EMAIL: names.email[0] if names.email else None,
        Field.COMMON_NAME: names.common_name,
    }

    def value_of(field: Field) -> str:
        if not (value := values[field]):
            raise FieldNotInCertificate(
                f"The local identifier names {{{field}}}, which the certificate lacks: {_MISSING[field]}."
            )
        return value

    return value_of


_MISSING = {
    Field.SAN_DNS: "it has no subject alternative name of type dNSName",
    Field.SAN_EMAIL: "it has no subject alternative name of type rfc822Name",
    Field.COMMON_NAME: "its subject has no common name",
}


def _check_validity(leaf: Certificate, now: datetime) -> None:
    facts = leaf.facts
    if now > facts.not_after:
        raise CertificateHasExpired(f"The certificate was valid until {facts.not_after:%Y-%m-%d %H:%M} UTC.")
    if now < facts.not_before:
        raise CertificateNotYetValid(f"The certificate is valid from {facts.not_before:%Y-%m-%d %H:%M} UTC.")


def _check_identifier(identifier: str, names: CertificateNames) -> None:
    # A property list has no form for control characters, and no server would be told of such a name.
    if not identifier.isprintable() or not names.hold(identifier):
        raise LocalIdentifierNotInCertificate(
            "The local identifier is neither a subject alternative name of the certificate, nor its subject "
            "or common name; VPN servers refuse a device that calls itself something else."
        )
