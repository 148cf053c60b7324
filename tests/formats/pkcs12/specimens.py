"""PKCS#12 files of every sort that is opened, with their passwords; and what the library says of them."""

import functools
from dataclasses import dataclass
from pathlib import Path

import cryptography_vectors
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.integrity import check_integrity
from bulkcert.formats.pkcs12.library import open_with_library
from bulkcert.formats.pkcs12.pfx import read_pfx
from bulkcert.formats.pkcs12.proof import prove
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from tests.builders import NOW, PASSWORD, PrivateKey, a_ca, a_certificate, a_pkcs12, an_ec_key, an_rsa_key
from tests.formats.pkcs12 import forge

VECTORS = Path(cryptography_vectors.__file__).parent / "pkcs12"


LIMITS = Limits()


@dataclass(frozen=True)
class Specimen:
    name: str
    content: bytes
    password: str = PASSWORD

    def __repr__(self) -> str:
        return self.name


def der_of(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@functools.cache
def a_pair() -> tuple[bytes, bytes]:
    """One EC key and its certificate, in DER."""
    key = an_ec_key()
    return der_of(key), der(a_certificate(key))


def written_by_the_library(
    pbes: pkcs12.PBES, digest: hashes.HashAlgorithm, password: str = PASSWORD
) -> bytes:
    key = an_ec_key()
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pbes)
        .hmac_hash(digest)
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(b"x", key, a_certificate(key), [a_ca()[0]], encryption)


def forged(key: bytes | None = None, certificate: bytes | None = None) -> bytes:
    """A file with its key in clear, so that nothing hides."""
    pair = a_pair()
    return forge.pfx(
        forge.clear_safe(forge.key_bag(key or pair[0])),
        forge.clear_safe(forge.certificate_bag(certificate or pair[1])),
    )


@functools.cache
def specimens() -> tuple[Specimen, ...]:
    """Files that open, without the help of any tool."""
    key, certificate = a_pair()
    found = [
        Specimen("EC P-256", a_pkcs12()),
        Specimen("EC P-384", a_pkcs12(key=ec.generate_private_key(ec.SECP384R1()))),
        Specimen("EC P-521", a_pkcs12(key=ec.generate_private_key(ec.SECP521R1()))),
        Specimen("Ed25519", a_pkcs12(key=ed25519.Ed25519PrivateKey.generate())),
        Specimen("RSA-2048", a_pkcs12(key=an_rsa_key(2048))),
        Specimen("without chain", a_pkcs12(chain=[])),
        Specimen("non-ASCII password", a_pkcs12(password="pässwörd €"), "pässwörd €"),
        Specimen("password beyond 16 bits", a_pkcs12(password="p\U0001f511"), "p\U0001f511"),
        Specimen("key in clear", forged()),
        Specimen(
            "both encrypted",
            forge.pfx(
                forge.encrypted_safe(forge.shrouded_bag(key)),
                forge.encrypted_safe(forge.certificate_bag(certificate)),
            ),
        ),
    ]
    for pbes in (pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, pkcs12.PBES.PBESv2SHA256AndAES256CBC):
        for digest in (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
            name = f"{pbes.name} {digest.name}"
            found.append(Specimen(name, written_by_the_library(pbes, digest)))
    return tuple(found)


def open_by_the_library(content: bytes, password: str, limits: Limits = LIMITS) -> OpenedCertificate:
    """Open a file the other way: by the library's loader, then the same proof."""
    pfx = read_pfx(content)
    place = check_integrity(pfx, password, Budget(limits))
    return prove(open_with_library(content, pfx, password, place, Budget(limits)), limits, NOW)


def serialization_of(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
