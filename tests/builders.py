"""Plain functions that make certificates, PKCS#12 files and bundles with good defaults. All keys are test-only."""

import datetime as dt
import functools
import io
import zipfile
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)  # live tests run by the real clock
DAY = dt.timedelta(days=1)
PASSWORD = "password1!"


def an_ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def an_rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """Made once for each size and number: RSA keys are slow to make."""
    return rsa.generate_private_key(65537, bits)


def a_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@functools.cache
def a_ca(common_name: str = "Test CA (test only)") -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = an_ec_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(a_name(common_name))
        .issuer_name(a_name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 7300 * DAY)  # OpenSSL keeps the real clock where the tests run years ahead
        .not_valid_after(NOW + 3650 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def a_certificate(
    key: PrivateKey,
    common_name: str = "A12BC3D4EFGH",
    *,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    not_before: dt.datetime = NOW - 30 * DAY,
    not_after: dt.datetime = NOW + 365 * DAY,
    client_auth: bool = True,
    dns_names: Iterable[str] = (),
) -> x509.Certificate:
    """A leaf of the test CA (or of `issuer`)."""
    ca_certificate, ca_key = issuer or a_ca()
    builder = (
        x509.CertificateBuilder()
        .subject_name(a_name(common_name))
        .issuer_name(ca_certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client_auth else ExtendedKeyUsageOID.SERVER_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names := [x509.DNSName(name) for name in dns_names]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def a_pkcs12(
    common_name: str = "A12BC3D4EFGH",
    password: str = PASSWORD,
    *,
    key: PrivateKey | None = None,
    certificate: x509.Certificate | None = None,
    chain: Iterable[x509.Certificate] | None = None,
    iterations: int = 2048,
) -> bytes:
    """A PKCS#12 as OpenSSL 3 makes it by default (PBES2 AES-256-CBC, PBKDF2-SHA-256, MAC SHA-256)."""
    key = key or an_ec_key()
    certificate = certificate or a_certificate(key, common_name)
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(iterations)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
    chain = [a_ca()[0]] if chain is None else list(chain)
    return pkcs12.serialize_key_and_certificates(common_name.encode(), key, certificate, chain, encryption)


def a_credentials_file(passwords: Mapping[str, str]) -> bytes:
    return "".join(f"{identity}.p12={password}\n" for identity, password in passwords.items()).encode()


def a_zip(entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return content.getvalue()


def a_bundle(
    identities: Iterable[str] = ("A12BC3D4EFGH",),
    *,
    password: str = PASSWORD,
    files: Mapping[str, bytes] | None = None,
    credentials_file: str = "credential.txt",
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    """A zip of one PKCS#12 for each identity and a credentials file; `files` stand in for made ones."""
    identities = list(identities)
    files = files or {}
    entries = {f"{name}.p12": files.get(name) or a_pkcs12(name, password) for name in identities}
    entries[credentials_file] = a_credentials_file(dict.fromkeys(identities, password))
    return a_zip(entries | dict(extra or {}))
