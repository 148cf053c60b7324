"""Files are named for what they are, whatever their name says; a PKCS#12 is never taken for another file."""

import base64
import codecs
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
)
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import ItemRefusal, NotPkcs12
from bulkcert.errors.file_kinds import FileKind
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.formats.recognition import MOST_LOOKED_AT, recognise
from bulkcert.values.secret import Secret
from tests.builders import NOW, PASSWORD, a_ca, a_certificate, a_name, a_pkcs12, a_zip, an_ec_key, an_rsa_key

KEY = an_ec_key()
CERTIFICATE = a_certificate(KEY)
PKCS12 = a_pkcs12(key=KEY, certificate=CERTIFICATE)
LINES = base64.encodebytes(PKCS12)
DER = CERTIFICATE.public_bytes(Encoding.DER)
CERTIFICATE_PEM = CERTIFICATE.public_bytes(Encoding.PEM)
HTML = b"<!DOCTYPE html>\n<html><title>Log in</title></html>\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 2029\n"


def private_key(form: PrivateFormat, encoding: Encoding = Encoding.DER, key: object = KEY) -> bytes:
    return key.private_bytes(encoding, form, NoEncryption())  # type: ignore[attr-defined, no-any-return]


def encrypted_key() -> bytes:
    return KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))


def request_of(key: rsa.RSAPrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(a_name("A12BC3D4EFGH"))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def revocation_list() -> bytes:
    certificate, key = a_ca()
    builder = x509.CertificateRevocationListBuilder().issuer_name(certificate.subject)
    return builder.last_update(NOW).next_update(NOW).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


FILES = {
    "empty": (b"", FileKind.EMPTY, "empty file"),
    "zero bytes": (bytes(2000), FileKind.EMPTY, "zero bytes"),
    "blanks": (b" \r\n\t\n", FileKind.EMPTY, "blanks"),
    "PEM of certificate and key": (
        CERTIFICATE_PEM + private_key(PrivateFormat.PKCS8, Encoding.PEM),
        FileKind.PEM,
        "openssl pkcs12 -export -in FILE -out",
    ),
    "PEM of a certificate": (CERTIFICATE_PEM, FileKind.PEM, "-inkey KEY"),
    "PEM with CRLF": (CERTIFICATE_PEM.replace(b"\n", b"\r\n"), FileKind.PEM, "-inkey KEY"),
    "PEM of a key": (
        private_key(PrivateFormat.TraditionalOpenSSL, Encoding.PEM),
        FileKind.PEM,
        "-in CERTIFICATE",
    ),
    "PEM of a key behind many certificates": (
        CERTIFICATE_PEM * 20 + private_key(PrivateFormat.PKCS8, Encoding.PEM),
        FileKind.PEM,
        "with certificate and key",
    ),
    "PEM after a byte order mark": (codecs.BOM_UTF8 + CERTIFICATE_PEM, FileKind.PEM, "-inkey KEY"),
    "PEM with attributes as openssl writes them": (
        b"Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n"
        + private_key(PrivateFormat.PKCS8, Encoding.PEM),
        FileKind.PEM,
        "openssl",
    ),
    "PEM of a PKCS#12": (
        b"-----BEGIN PKCS12-----\n" + LINES + b"-----END PKCS12-----\n",
        FileKind.PEM,
        "base64 -d",
    ),
    "base64 in one line": (base64.b64encode(PKCS12), FileKind.BASE64, "base64 -d"),
    "base64 in lines": (LINES, FileKind.BASE64, "certutil -decode"),
    "base64 for URLs": (base64.urlsafe_b64encode(PKCS12), FileKind.BASE64, "base64 -d"),
    "base64 in quotes": (b'"' + base64.b64encode(PKCS12) + b'"', FileKind.BASE64, "base64 -d"),
    "base64 after a byte order mark": (codecs.BOM_UTF8 + LINES, FileKind.BASE64, "base64 -d"),
    "base64 of a certificate": (base64.encodebytes(DER), FileKind.BASE64, "base64 -d"),
    "base64 of a zip": (base64.b64encode(b"PK\3\4" + bytes(80)), FileKind.BASE64, "BUNDLE.zip"),
    "base64 as a data URI": (
        b"data:application/x-pkcs12;base64," + base64.b64encode(PKCS12),
        FileKind.BASE64,
        "base64 -d",
    ),
    "a certificate": (DER, FileKind.CERTIFICATE, "no private key"),
    "a CA's certificate": (a_ca()[0].public_bytes(Encoding.DER), FileKind.CERTIFICATE, "no private key"),
    "PKCS#8": (private_key(PrivateFormat.PKCS8), FileKind.PRIVATE_KEY, "-in CERTIFICATE"),
    "an EC key": (private_key(PrivateFormat.TraditionalOpenSSL), FileKind.PRIVATE_KEY, "openssl"),
    "PKCS#1": (
        private_key(PrivateFormat.TraditionalOpenSSL, key=an_rsa_key()),
        FileKind.PRIVATE_KEY,
        "openssl",
    ),
    "an encrypted key": (encrypted_key(), FileKind.PRIVATE_KEY, "encrypted private key"),
    "a PuTTY key": (b"PuTTY-User-Key-File-3: ssh-rsa\n", FileKind.PRIVATE_KEY, "PuTTY"),
    "PKCS#7": (
        pkcs7.serialize_certificates([CERTIFICATE], Encoding.DER),
        FileKind.PKCS7,
        "no private key",
    ),
    "JKS": (bytes.fromhex("feedfeed00000002"), FileKind.JAVA_KEYSTORE, "-srcstoretype JKS "),
    "JCEKS": (bytes.fromhex("cececece00000002"), FileKind.JAVA_KEYSTORE, "-srcstoretype JCEKS "),
    "BKS": (bytes.fromhex("0000000200000014"), FileKind.JAVA_KEYSTORE, "-srcstoretype BKS "),
    "HTML": (HTML, FileKind.HTML, "log in"),
    "HTML after a comment": (b"<!-- x -->\n<HTML>", FileKind.HTML, "log in"),
    "an XHTML page": (b'<?xml version="1.0"?>\n<html xmlns="x">', FileKind.HTML, "log in"),
    "a Git LFS pointer": (LFS, FileKind.LFS_POINTER, "git lfs pull"),
    "a zip": (a_zip({"A12BC3D4EFGH.p12": PKCS12}), FileKind.ZIP, "outer zip"),
    "an empty zip": (a_zip({}), FileKind.ZIP, "outer zip"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), FileKind.ARCHIVE, "gzip"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(20), FileKind.ARCHIVE, "7z"),
    "bzip2": (b"BZh91AY&SY" + bytes(20), FileKind.ARCHIVE, "bzip2"),
    "RAR": (b"Rar!\x1a\7\1" + bytes(20), FileKind.ARCHIVE, "RAR"),
    "text": (b"the file was here\n", FileKind.TEXT, "text"),
    "text with umlauts": ("für später\n".encode(), FileKind.TEXT, "text"),
    "text in UTF-16": ("für später\n".encode("utf-16"), FileKind.TEXT, "UTF-16"),
    "text in UTF-16 without a mark": ("for later\n".encode("utf-16-be"), FileKind.TEXT, "UTF-16"),
    "PEM in UTF-16": (CERTIFICATE_PEM.decode().encode("utf-16"), FileKind.TEXT, "UTF-16"),
    "a profile": (b"<?xml version='1.0'?>\n<plist></plist>", FileKind.TEXT, "XML"),
    "JSON": (b'{"error": "expired"}', FileKind.TEXT, "JSON"),
    "hexadecimal digits": (PKCS12.hex().encode(), FileKind.TEXT, "xxd -r -p"),
    "read as Latin-1, written as UTF-8": (PKCS12.decode("latin-1").encode(), FileKind.TEXT, "UTF-8"),
    "read and written as UTF-8": (PKCS12.decode(errors="replace").encode(), FileKind.TEXT, "UTF-8"),
    "read as Latin-1, written as UTF-16": (
        PKCS12.decode("latin-1").encode("utf-16"),
        FileKind.TEXT,
        "UTF-16",
    ),
    "written as UTF-16 without a mark": (
        PKCS12.decode("latin-1").encode("utf-16-le"),
        FileKind.TEXT,
        "UTF-16",
    ),
    "written as UTF-16, big end first": (
        PKCS12.decode("latin-1").encode("utf-16-be"),
        FileKind.TEXT,
        "UTF-16",
    ),
    "line feeds turned into CR LF": (
        (PKCS12 + b"\n" * 4).replace(b"\n", b"\r\n"),
        FileKind.TEXT,
        "binary mode",
    ),
    "a certificate request": (request_of(an_rsa_key()), FileKind.OTHER, "certificate request"),
    "a revocation list": (revocation_list(), FileKind.OTHER, "CRL"),
    "a public key": (
        KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        FileKind.OTHER,
        "public key",
    ),
    "PDF": (b"%PDF-1.7\n", FileKind.OTHER, "PDF"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(20), FileKind.OTHER, "picture"),
    "a binary property list": (b"bplist00\xd1", FileKind.OTHER, "property list"),
}


@pytest.mark.parametrize(("content", "kind", "says"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_pkcs12_is_named_with_its_remedy(content: bytes, kind: FileKind, says: str) -> None:
    with pytest.raises(NotPkcs12) as refused:
        pkcs12.open(content, Secret(PASSWORD.encode()))

    assert refused.value.found is kind
    assert says in refused.value.detail
    assert refused.value.detail.startswith("This is ")


@pytest.mark.parametrize("length", [4, 20, 200, len(PKCS12) - 1])
def test_a_pkcs12_that_is_cut_off_is_a_broken_pkcs12(length: int) -> None:
    with pytest.raises(ItemRefusal) as refused:
        pkcs12.open(PKCS12[:length], Secret(PASSWORD.encode()))

    assert refused.value.code == "malformed_pkcs12"
    assert refused.value.found is None


@pytest.mark.parametrize(
    "content", [b"\x01\x02\x03\x04" * 99, b"\x05\0" * 99, b"0\x82\x05\0" + b"\x05\0" * 99]
)
def test_a_binary_file_of_no_known_kind_has_no_name(content: bytes) -> None:
    with pytest.raises(ItemRefusal) as refused:
        pkcs12.open(content, Secret(PASSWORD.encode()))

    assert refused.value.code == "malformed_pkcs12"


@pytest.mark.slow
def test_any_two_bytes_are_recognised_or_not() -> None:
    for first in range(256):
        recognise(bytes([first]))
        for second in range(256):
            recognise(bytes([first, second]))


@given(st.binary(max_size=600))
def test_any_bytes_are_recognised_or_not(content: bytes) -> None:
    found = recognise(content)

    assert found is None or found.name


@given(st.sampled_from([content for content, _, _ in FILES.values() if content]), st.integers(0, 300))
def test_any_beginning_of_a_known_file_is_recognised_or_not(content: bytes, length: int) -> None:
    recognise(content[:length])


@given(st.lists(st.text("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", min_size=8, max_size=14), min_size=1))
def test_a_list_of_serial_numbers_is_text_and_not_base64(names: list[str]) -> None:
    found = recognise("\n".join(names).encode())

    assert found is not None
    assert found.kind is FileKind.TEXT


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", [b"0", b"A", b"\r\n", b" ", b"\0 ", b"-----BEGIN ", b"<", b"0\0", b"\x30\x80", b"MI"]
)
def test_what_is_looked_at_is_bounded(unit: bytes) -> None:
    """A pattern that goes back over what it has read would take minutes on one of these."""
    program = (
        "import sys; from bulkcert.formats.recognition import recognise;"
        f"recognise({unit!r} * (4 * {MOST_LOOKED_AT} // {len(unit)}))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
