"""Make every sample again: `python sample_bundles/make_samples.py`. What each is for: README.md.

Keys on curves are derived from the device's name and certificates are signed deterministically, so both are
the same every time; RSA keys, salts and what openssl makes are not. All of it is for tests only, and says so.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pkcs12_by_hand import PrivateKey, a_pkcs12_of
from sample_zips import an_entry, write_zip, write_zip_as_finder_does

HERE = Path(__file__).parent
ORGANIZATION = "bulkcert test only"
BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
ENDS = datetime(2056, 1, 1, tzinfo=UTC)
PASSWORD = "password1!"

MODERN = (pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256())
LEGACY = (pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA1())


# --- keys, certificates, PKCS#12 files --------------------------------------------------------------


def a_key(name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Give the key of this name: the same one every time."""
    number = int.from_bytes(hashlib.sha256(f"{ORGANIZATION}: {name}".encode()).digest())
    return ec.derive_private_key(number >> 1, curve or ec.SECP256R1())


def a_name(common_name: str) -> x509.Name:
    """Give a name that says what it is for."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(subject: str, issuer: str, key: PrivateKey) -> x509.CertificateBuilder:
    serial_number = int.from_bytes(hashlib.sha256(f"{issuer}/{subject}".encode()).digest()[:16]) >> 1
    return (
        x509.CertificateBuilder()
        .subject_name(a_name(subject))
        .issuer_name(a_name(issuer))
        .public_key(key.public_key())
        .serial_number(serial_number)
    )


def the_ca() -> x509.Certificate:
    """Give the certificate of the CA that signs all others."""
    key = a_key("CA")
    builder = _builder("bulkcert sample CA", "bulkcert sample CA", key)
    builder = builder.not_valid_before(datetime(2019, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2066, 1, 1, tzinfo=UTC)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def a_certificate(
    identity: str, key: PrivateKey, begins: datetime = BEGINS, ends: datetime = ENDS
) -> x509.Certificate:
    """Give a device's certificate, for client authentication."""
    builder = _builder(identity, "bulkcert sample CA", key).not_valid_before(begins).not_valid_after(ends)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = builder.add_extension(usage, critical=False)
    return builder.sign(a_key("CA"), hashes.SHA256(), ecdsa_deterministic=True)


def der_of(certificate: x509.Certificate) -> bytes:
    """Give the certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


def a_pkcs12(
    identity: str,
    password: str = PASSWORD,
    *,
    key: PrivateKey | None = None,
    certificate: x509.Certificate | None = None,
    style: tuple[pkcs12.PBES, hashes.HashAlgorithm] = MODERN,
) -> bytes:
    """Give a sound PKCS#12 of key, certificate and CA."""
    key = key or a_key(identity)
    certificate = certificate or a_certificate(identity, key)
    scheme, mac = style
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(scheme)
        .hmac_hash(mac)
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(identity.encode(), key, certificate, [the_ca()], encryption)


# --- the samples ------------------------------------------------------------------------------------


def serial_numbers() -> None:
    """Write the bundle of the vendor's article, with three devices."""
    identities = ("A12BC3D4EFGH", "B98ZY7X6WVUT", "C02X12YZJHD4")
    lines = "".join(f"{identity}.p12={PASSWORD}\n" for identity in identities)
    files = {f"{identity}.p12": a_pkcs12(identity) for identity in identities}
    write_zip(HERE / "serial-numbers.zip", {**files, "credential.txt": lines.encode()})


def imeis() -> None:
    """Write IMEIs in several spellings, and a credentials file as Windows PowerShell writes it."""
    files = {
        "49-015420-323751-8.p12": a_pkcs12("490154203237518", "two words", style=LEGACY),
        "356938035643809.PFX": a_pkcs12("356938035643809", "a=b#c", style=LEGACY),
        "350077523237513.p12": a_pkcs12("350077523237513", "pässwörd", style=LEGACY),
    }
    lines = "490154203237518.p12=two words\r\n35-693803-564380-9=a=b#c\r\n350077523237513.p12=pässwörd\r\n"
    write_zip(HERE / "imei.zip", {**files, "passwords.txt": b"\xff\xfe" + lines.encode("utf-16-le")})


def meids() -> None:
    """Write MEIDs in several spellings, in a folder."""
    files = {
        "tablets/": b"",
        "tablets/a10000009296f1.p12": a_pkcs12("A10000009296F1"),
        "tablets/AF0123450ABCDE.p12": a_pkcs12("AF0123450ABCDE", " spaces around "),
    }
    lines = f"A1000000-9296F1={PASSWORD}\n\n293608736500703710= spaces around \n"
    write_zip(HERE / "meid.zip", {**files, "tablets/credential.txt": lines.encode()})


def finder() -> None:
    """Write a folder that was compressed in Finder."""
    identities = ("F17GH8J9KLMN", "G28HJ9K0LMNP")
    apple_double = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(58)
    entries = {"My iPhones/": b"", "My iPhones/.DS_Store": b"\0\0\0\1Bud1" + bytes(200)}
    for identity in identities:
        entries[f"My iPhones/{identity}.p12"] = a_pkcs12(identity)
        entries[f"__MACOSX/My iPhones/._{identity}.p12"] = apple_double
    lines = "".join(f"{identity}.p12={PASSWORD}\n" for identity in identities)
    entries["My iPhones/credential.txt"] = lines.encode()
    entries["__MACOSX/My iPhones/._credential.txt"] = apple_double
    entries["My iPhones/notes.rtf"] = b"{\\rtf1 foreign to a bundle}"
    write_zip_as_finder_does(HERE / "finder-with-junk.zip", entries)


def failures() -> None:
    """Write a bundle in which each device's name says how it fails; one device is good."""
    entries = {"A12BC3D4EFGH.p12": a_pkcs12("A12BC3D4EFGH"), **_failing_keys(), **_failing_contents()}
    passwords = dict.fromkeys((name.partition(".")[0] for name in entries if "/" not in name), PASSWORD)
    del passwords["NOCREDENTIAL"], passwords["INVALIDPASSWORD"], passwords["older"]
    passwords["WRONGPASSWORD"] = "not the password"
    passwords["NOPKCS12"] = PASSWORD
    lines = [f"{name}.p12={password}" for name, password in passwords.items()]
    lines.append(f"INVALIDPASSWORD.p12 {PASSWORD}")
    write_zip(
        "every-kind-of-failure.zip",
        {
            **entries,
            "credential.txt": "\n".join(lines).encode(),
            "notes.rtf": b"{\\rtf1 foreign to a bundle}",
        },
    )


def _leaf(identity: str) -> bytes:
    return der_of(a_certificate(identity, a_key(identity)))


def _failing_keys() -> dict[str, bytes]:
    weak = rsa.generate_private_key(65537, 1024)
    large = rsa.generate_private_key(65537, 4608)
    other_curve = a_key("UNSUPPORTEDALGORITHM", ec.SECP256K1())
    shared = a_key("DUPLICATEKEY")
    several = [a_key("SEVERALPRIVATEKEYS"), a_key("SEVERALPRIVATEKEYS 2")]
    by_hand = {
        "NOPRIVATEKEY": a_pkcs12_of(
            [], [der_of(a_certificate("NOPRIVATEKEY", a_key("NOPRIVATEKEY")))], PASSWORD
        ),
        "NOCERTIFICATE": a_pkcs12_of([a_key("NOCERTIFICATE")], [], PASSWORD),
        "SEVERALPRIVATEKEYS": a_pkcs12_of(several, [_leaf("SEVERALPRIVATEKEYS")], PASSWORD),
        "KEYMISMATCH": a_pkcs12_of([a_key("another")], [_leaf("KEYMISMATCH")], PASSWORD),
        "UNSUPPORTEDALGORITHM": a_pkcs12("UNSUPPORTEDALGORITHM", key=other_curve),
        "WEAKKEY0": a_pkcs12("WEAKKEY0", key=weak),
        "KEYTOOLARGE": a_pkcs12("KEYTOOLARGE", key=large),
        "DUPLICATEKEY1": a_pkcs12("DUPLICATEKEY1", key=shared),
        "DUPLICATEKEY2": a_pkcs12("DUPLICATEKEY2", key=shared),
    }
    return {f"{name}.p12": content for name, content in by_hand.items()}


def _failing_contents() -> dict[str, bytes]:
    past = a_certificate(
        "EXPIRED0", a_key("EXPIRED0"), datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    )
    to_come = a_certificate("NOTYETVALID", a_key("NOTYETVALID"), datetime(2055, 1, 1, tzinfo=UTC))
    broken_key = a_key("MALFORMEDCERTIFICATE")
    broken = der_of(a_certificate("MALFORMEDCERTIFICATE", broken_key))
    month_13 = broken.replace(b"20560101000000Z", b"20561301000000Z")
    costly = _leaf("TOOCOSTLY")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr(an_entry("X01YZ2A3BCDE.p12"), b"never looked at")
    return {
        "WRONGPASSWORD.p12": a_pkcs12("WRONGPASSWORD"),
        "MALFORMEDPKCS12.p12": a_pkcs12("MALFORMEDPKCS12")[:500],
        "MALFORMEDCERTIFICATE.p12": a_pkcs12_of([broken_key], [month_13], PASSWORD),
        "TOOCOSTLY.p12": a_pkcs12_of([a_key("TOOCOSTLY")], [costly], PASSWORD, said_iterations=2**31 - 1),
        "TOOLARGE.p12": a_pkcs12("TOOLARGE") + bytes(65_536),
        "EXPIRED0.p12": a_pkcs12("EXPIRED0", certificate=past),
        "NOTYETVALID.p12": a_pkcs12("NOTYETVALID", certificate=to_come),
        "NOCREDENTIAL.p12": a_pkcs12("NOCREDENTIAL"),
        "INVALIDPASSWORD.p12": a_pkcs12("INVALIDPASSWORD"),
        "DUPLICATEIDENTITY.p12": a_pkcs12("DUPLICATEIDENTITY"),
        "copies/duplicateidentity.pfx": a_pkcs12("DUPLICATEIDENTITY", key=a_key("another copy")),
        "conference-room-ipad.p12": a_pkcs12("conference-room-ipad"),
        "older.zip": inner.getvalue(),
    }


def openssl_witness() -> None:
    """Have openssl make the PKCS#12 files and zip the zip, as a witness that this project did not write."""
    if shutil.which("openssl") is None or shutil.which("zip") is None:
        sys.stderr.write("openssl-witness.zip is left as it is: needs openssl and zip\n")
        return
    made = HERE / "openssl-witness.zip"
    with tempfile.TemporaryDirectory() as directory:
        _by_openssl(Path(directory), "OPENSSLAES256", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], [])
        _by_openssl(Path(directory), "OPENSSLLEGACY", ["rsa:2048"], ["-legacy"])
        lines = f"OPENSSLAES256.p12={PASSWORD}\nOPENSSLLEGACY.p12={PASSWORD}\n"
        (Path(directory) / "credential.txt").write_text(lines)
        made.unlink(missing_ok=True)
        names = ["OPENSSLAES256.p12", "OPENSSLLEGACY.p12", "credential.txt"]
        subprocess.run(["zip", "-q", "-X", made.resolve(), *names], cwd=directory, check=True)


def _by_openssl(directory: Path, identity: str, key: list[str], style: list[str]) -> None:
    def openssl(*arguments: str) -> None:
        environment = {**os.environ, "PASSWORD": PASSWORD}
        subprocess.run(
            ["openssl", *arguments], cwd=directory, check=True, env=environment, stderr=subprocess.DEVNULL
        )

    subject = f"/O={ORGANIZATION}/CN={identity}"
    certificate = ["-x509", "-days", "10700", "-subj", subject, "-addext", "extendedKeyUsage=clientAuth"]
    openssl("req", "-newkey", *key, "-nodes", "-keyout", "key.pem", "-out", "certificate.pem", *certificate)
    pair = ["-inkey", "key.pem", "-in", "certificate.pem", "-out", f"{identity}.p12"]
    openssl("pkcs12", "-export", *style, *pair, "-passout", "env:PASSWORD", "-name", identity)


def deletion_lists() -> None:
    """Write a list of devices, bare and in a zip."""
    lines = f"A12BC3D4EFGH\nB98ZY7X6WVUT.p12\n\nc02x12yzjhd4.p12={PASSWORD}\nD56EF7G8HJKL\n".encode()
    (HERE / "deletion-list.txt").write_bytes(lines)
    write_zip(HERE / "deletion-list.zip", {"deletion-list.txt": lines})


if __name__ == "__main__":
    for make in (serial_numbers, imeis, meids, finder, failures, openssl_witness, deletion_lists):
        make()
