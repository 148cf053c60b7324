"""The bundles that imports are measured with: a key of its own for each device, kept from run to run.

RSA keys take a twentieth of a second each to make, and the same key twice fails both items: the files lie in
a directory, and what is missing there is made by all processors. Whoever holds these keys holds nothing.
"""

import datetime as dt
import multiprocessing
import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

PASSWORD = "correct horse battery"
RSA, EC = "RSA-2048", "EC P-256"
_PREFIXES = {RSA: "BENCHR", EC: "BENCHE"}
_AT_ONCE = 50
_FORM = 2  # counted up when files change: those of another form may lie in the directory
_DAY = dt.timedelta(days=1)
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Cache:
    """PKCS#12 files in a directory, each made once, as OpenSSL 3 makes them by default."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def files(self, kind: str, count: int) -> list[bytes]:
        """Give the first `count` files of a kind, each with a key pair of its own."""
        place = self._directory / f"{kind.replace(' ', '-').lower()}-{_FORM}"
        place.mkdir(exist_ok=True)
        missing = [n for n in range(count) if not _path(place, n).exists()]
        if missing:
            print(f"making {len(missing)} {kind} files, kept in {place}", flush=True)
            _make_authority(place)
            portions = [missing[at : at + _AT_ONCE] for at in range(0, len(missing), _AT_ONCE)]
            with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
                list(pool.map(_make_some, [kind] * len(portions), [place] * len(portions), portions))
        return [_path(place, number).read_bytes() for number in range(count)]


def identity(kind: str, number: int) -> str:
    """Name the device of a file: a serial number."""
    return f"{_PREFIXES[kind]}{number:06}"


def write_bundle(
    path: Path, kind: str, files: Sequence[bytes], count: int | None = None, first: int = 0
) -> Path:
    """Write a bundle of files, one for each device, `first` being the number of the first device.

    count: more than there are files where they may come again, which only their opening would notice.
    """
    names = [identity(kind, number) for number in range(first, first + (count or len(files)))]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, name in enumerate(names):
            archive.writestr(f"{name}.p12", files[number % len(files)])
        archive.writestr("credentials.txt", "".join(f"{name}.p12={PASSWORD}\n" for name in names))
    return path


def _path(place: Path, number: int) -> Path:
    return place / f"{number:06}.p12"


def _make_authority(place: Path) -> None:
    if (place / "ca.pem").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    (place / "ca-key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate = _certificate("Benchmark CA", key, None, key)
    (place / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _make_some(kind: str, place: Path, numbers: Sequence[int]) -> None:
    authority = x509.load_pem_x509_certificate((place / "ca.pem").read_bytes())
    authority_key = serialization.load_pem_private_key((place / "ca-key.pem").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(PASSWORD.encode())
    )
    for number in numbers:
        key: PrivateKey = (
            rsa.generate_private_key(65537, 2048) if kind == RSA else ec.generate_private_key(ec.SECP256R1())
        )
        leaf = _certificate(identity(kind, number), key, authority, authority_key)
        content = pkcs12.serialize_key_and_certificates(b"device", key, leaf, [authority], encryption)
        written = _path(place, number).with_suffix(f".{os.getpid()}")
        written.write_bytes(content)
        written.rename(_path(place, number))  # another run may make the same at the same time


def _certificate(
    name: str, key: PrivateKey, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 3650 * _DAY)  # as long as the cache may lie there
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # Every CA writes it (RFC 5280 §4.2.1.1).
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
