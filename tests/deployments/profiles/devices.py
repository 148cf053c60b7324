"""Device certificates for profiles, with good defaults. All keys are test-only."""

import datetime as dt
import functools
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from bulkcert.deployments.profiles.profile import DeviceChain
from bulkcert.formats.x509 import parse_certificate
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.secret import Secret
from tests.builders import DAY, NOW, PrivateKey, a_ca, a_name, an_ec_key, an_rsa_key

SERIAL_NUMBER = "A12BC3D4EFGH"
IDENTITY = DeviceIdentity(IdentityType.SERIAL_NUMBER, SERIAL_NUMBER)
NAMES: tuple[x509.GeneralName, ...] = (
    x509.DNSName("a12bc3d4efgh.example.com"),
    x509.DNSName("A12BC3D4EFGH.example.com"),
    x509.RFC822Name("a12bc3d4efgh@example.com"),
    x509.DNSName("second.example.com"),
)
DER = serialization.Encoding.DER


@functools.cache
def a_key(kind: str) -> PrivateKey:
    curves: dict[str, ec.EllipticCurve] = {
        "ECDSA384": ec.SECP384R1(),
        "ECDSA521": ec.SECP521R1(),
        "secp256k1": ec.SECP256K1(),
    }
    if kind == "RSA":
        return an_rsa_key()
    return an_ec_key() if kind == "ECDSA256" else ec.generate_private_key(curves[kind])


def pkcs8(key: PrivateKey) -> Secret:
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Secret(key.private_bytes(DER, *plain))


def a_device_certificate(
    key: PrivateKey | None = None,
    *,
    subject: x509.Name | None = None,
    names: Iterable[x509.GeneralName] = NAMES,
    usages: Iterable[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    not_before: dt.datetime = NOW - 30 * DAY,
    not_after: dt.datetime = NOW + 365 * DAY,
) -> bytes:
    ca_certificate, ca_key = a_ca()
    builder = (
        x509.CertificateBuilder()
        .subject_name(a_name(SERIAL_NUMBER) if subject is None else subject)
        .issuer_name(ca_certificate.subject)
        .public_key((key or a_key("ECDSA256")).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    if names := list(names):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usages := list(usages):
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(DER)


def a_device(der: bytes | None = None, chain: tuple[bytes, ...] | None = None) -> DeviceChain:
    chain = (a_ca()[0].public_bytes(DER),) if chain is None else chain
    return DeviceChain(IDENTITY, parse_certificate(der or a_device_certificate()), chain)
