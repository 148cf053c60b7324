"""The files that opening is measured with: each with its own certificate, as its CA would have issued it."""

import datetime as dt
import functools
import hmac
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from bulkcert.formats.asn1.ber import INTEGER, OCTET_STRING, SEQUENCE, Allowance, Element, read
from bulkcert.formats.pkcs12 import kdf

PASSWORD = "correct horse battery"
_WIDE = PASSWORD.encode("utf-16-be") + b"\0\0"
_SALT = b"saltsalt"
KINDS = {"RSA-2048": 2048, "RSA-4096": 4096, "EC P-256": 0}
DAY = dt.timedelta(days=1)
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_KEYS_OF_A_KIND = 4  # RSA keys are slow to make; what is remembered between files hangs on certificates


@dataclass(frozen=True)
class Scheme:
    """How a tool encrypts by default."""

    pbes: pkcs12.PBES
    digest: hashes.HashAlgorithm
    iterations: int


SCHEMES = {
    "OpenSSL 3": Scheme(pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256(), 2048),
    "3DES and SHA-1": Scheme(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA1(), 2048),
    "Java": Scheme(pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256(), 10_000),
}


@dataclass(frozen=True)
class File:
    """One PKCS#12, of what sort it is, and its private key (PKCS#8, DER)."""

    kind: str
    scheme: str
    content: bytes
    private_key: bytes

    def derive(self) -> None:
        """Make the key derivations that opening cannot do without: for the MAC, a safe and a key."""
        scheme = SCHEMES[self.scheme]
        password, salt, count = PASSWORD.encode("utf-16-be") + b"\0\0", b"saltsalt", scheme.iterations
        kdf.derive_pkcs12(
            scheme.digest.name, password, salt, count, scheme.digest.digest_size, kdf.Purpose.MAC
        )
        for _ in range(2):
            if scheme.pbes is pkcs12.PBES.PBESv2SHA256AndAES256CBC:
                kdf.derive_pbkdf2("sha256", PASSWORD.encode(), _SALT, count, 32)
            else:
                kdf.derive_pkcs12("sha1", _WIDE, _SALT, count, 24, kdf.Purpose.KEY)
                kdf.derive_pkcs12("sha1", _WIDE, _SALT, count, 8, kdf.Purpose.IV)


@functools.cache
def _key(kind: str, _number: int) -> PrivateKey:
    bits = KINDS[kind]
    return rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())


@functools.cache
def _ca() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return _certificate("Benchmark CA", key, None, key), key


def _certificate(
    name: str, key: PrivateKey, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 365 * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )


def make_files(kind: str, scheme_name: str, count: int) -> list[File]:
    """Make so many files of one sort: key, certificate and the CA's."""
    scheme = SCHEMES[scheme_name]
    ca, ca_key = _ca()
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(scheme.iterations)
        .key_cert_algorithm(scheme.pbes)
        .hmac_hash(scheme.digest)
        .build(PASSWORD.encode())
    )
    files = []
    for number in range(count):
        key = _key(kind, number % _KEYS_OF_A_KIND)
        leaf = _certificate(f"device {number}", key, ca, ca_key)
        content = pkcs12.serialize_key_and_certificates(b"device", key, leaf, [ca], encryption)
        private_key = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        files.append(File(kind, scheme_name, _with_mac(content, scheme), private_key))
    return files


def _with_mac(content: bytes, scheme: Scheme) -> bytes:
    """Make the integrity check anew with the scheme's iterations: the library always makes it with 2,048."""
    version, auth_safe, mac_data = read(content, Allowance()).children()
    digest_info, _salt, _iterations = mac_data.children()
    algorithm, _digest = digest_info.children()
    size = scheme.digest.digest_size
    key = kdf.derive_pkcs12(scheme.digest.name, _WIDE, _SALT, scheme.iterations, size, kdf.Purpose.MAC)
    covered = auth_safe.children()[1].explicit().octets()
    digest = _element(OCTET_STRING, hmac.digest(key, covered, scheme.digest.name))
    check = (
        _element(SEQUENCE, algorithm.encode() + digest)
        + _element(OCTET_STRING, _SALT)
        + _element(INTEGER, scheme.iterations.to_bytes(2))
    )
    return _element(SEQUENCE, version.encode() + auth_safe.encode() + _element(SEQUENCE, check))


def _element(tag: int, content: bytes) -> bytes:
    return Element(tag, content, Allowance()).encode()
