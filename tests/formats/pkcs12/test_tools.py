"""Files that other people's tools make open to the same key and certificates as the library gives."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.certificates import OpenedCertificate, WarningCode
from bulkcert.values.secret import Secret
from tests.builders import a_ca, an_rsa_key
from tests.formats.pkcs12.specimens import open_by_the_library
from tests.live.witnesses import by_keytool, by_openssl, pem_files, require, run

NAME = "A12BC3D4EFGH"
PASSWORD = "correct horse"

OPENSSL_OPTIONS = {
    "default": (),
    "legacy": ("-legacy",),
    "3DES": ("-legacy", "-descert"),
    "RC2-128": ("-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128"),
    "AES-128": ("-certpbe", "AES-128-CBC", "-keypbe", "AES-128-CBC"),
    "AES-192": ("-certpbe", "AES-192-CBC", "-keypbe", "AES-192-CBC"),
    "PBES2 with 3DES": ("-certpbe", "DES-EDE3-CBC", "-keypbe", "DES-EDE3-CBC"),
    "PBES2 with DES": ("-legacy", "-certpbe", "DES-CBC", "-keypbe", "DES-CBC"),
    "RC4-128": ("-legacy", "-certpbe", "PBE-SHA1-RC4-128", "-keypbe", "PBE-SHA1-RC4-128"),
    "RC4-40": ("-legacy", "-certpbe", "PBE-SHA1-RC4-40", "-keypbe", "PBE-SHA1-RC4-40"),
    "two-key 3DES": ("-legacy", "-certpbe", "PBE-SHA1-2DES", "-keypbe", "PBE-SHA1-2DES"),
    "MD5 and DES": ("-legacy", "-certpbe", "PBE-MD5-DES", "-keypbe", "PBE-MD5-DES"),
    "SHA-1 and DES": ("-legacy", "-certpbe", "PBE-SHA1-DES", "-keypbe", "PBE-SHA1-DES"),
    "certificate in clear": ("-certpbe", "NONE"),
    "key in clear": ("-keypbe", "NONE"),
    "MAC SHA-1": ("-macalg", "SHA1"),
    "MAC SHA-224": ("-macalg", "SHA224"),
    "MAC SHA-384": ("-macalg", "SHA384"),
    "MAC SHA-512": ("-macalg", "SHA512"),
    "MAC SHA-512/256": ("-macalg", "SHA512-256"),
    "MAC SHA3-256": ("-macalg", "SHA3-256"),
    "MAC MD5": ("-legacy", "-macalg", "MD5"),
    "one iteration": ("-iter", "1"),
    "50,000 iterations": ("-iter", "50000"),
}
RARE_OPTIONS = {
    "Camellia": ("-certpbe", "CAMELLIA-256-CBC", "-keypbe", "CAMELLIA-256-CBC"),
    "ARIA": ("-certpbe", "ARIA-128-CBC", "-keypbe", "ARIA-128-CBC"),
    "only the key": ("-keypbe", "CAMELLIA-128-CBC"),
}


def check(content: bytes, password: str, opened_by: str = "own") -> OpenedCertificate:
    """Open both ways; give what came out."""
    opened = open_pkcs12(content, Secret(password.encode()))
    by_the_library = open_by_the_library(content, password)

    assert opened.opened_by == opened_by
    assert vars(opened) | {"opened_by": ""} == vars(by_the_library) | {"opened_by": ""}
    return opened


def assert_is_the_made_one(opened: OpenedCertificate, directory: Path) -> None:
    key = serialization.load_pem_private_key((directory / "key.pem").read_bytes(), None)
    assert opened.private_key.reveal() == key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert opened.leaf.facts.subject.common_name == NAME
    assert [certificate.der for certificate in opened.chain] == [
        a_ca()[0].public_bytes(serialization.Encoding.DER)
    ]
    assert opened.chain_is_complete


@pytest.mark.parametrize("options", OPENSSL_OPTIONS.values(), ids=OPENSSL_OPTIONS)
def test_what_openssl_makes_opens(tmp_path, options):
    opened = check(by_openssl(tmp_path, NAME, PASSWORD, *options), PASSWORD)

    assert_is_the_made_one(opened, tmp_path)


@pytest.mark.parametrize("options", RARE_OPTIONS.values(), ids=RARE_OPTIONS)
def test_what_openssl_makes_with_rare_algorithms_is_opened_by_the_library(tmp_path, options):
    opened = check(by_openssl(tmp_path, NAME, PASSWORD, *options), PASSWORD, "library")

    assert_is_the_made_one(opened, tmp_path)


@pytest.mark.parametrize("trailing", [b"\r\n", bytes(700), b"\xff" * 1024], ids=["CR LF", "zeros", "0xFF"])
def test_what_follows_a_file_is_kept_from_the_library(tmp_path, trailing):
    content = by_openssl(tmp_path, NAME, PASSWORD, *RARE_OPTIONS["Camellia"])

    opened = open_pkcs12(content + trailing, Secret(PASSWORD.encode()))

    assert (opened.opened_by, opened.warnings) == ("library", (WarningCode.TRAILING_BYTES,))
    assert_is_the_made_one(opened, tmp_path)


@pytest.mark.parametrize("options", [(), ("-legacy",)], ids=["default", "legacy"])
def test_an_rsa_key_from_openssl_opens(tmp_path, options):
    content = by_openssl(tmp_path, NAME, PASSWORD, *options, key=an_rsa_key())

    assert_is_the_made_one(check(content, PASSWORD), tmp_path)


@pytest.mark.parametrize("password", [" ", "pässwörd", "パスワード", "x" * 200, "tail \t "])
@pytest.mark.parametrize("options", [(), ("-legacy",)], ids=["default", "legacy"])
def test_passwords_of_every_kind_open_what_openssl_made(tmp_path, options, password):
    content = by_openssl(tmp_path, NAME, password, *options)

    assert check(content, password).leaf.facts.subject.common_name == NAME


@pytest.mark.parametrize("options", [(), ("-legacy",)], ids=["default", "legacy"])
def test_the_empty_password_opens_what_openssl_made(tmp_path, options):
    require("openssl")
    key, certificate, _ca = pem_files(tmp_path, NAME)
    out = tmp_path / "out.p12"
    run(
        "openssl", "pkcs12", "-export", *options, "-inkey", key, "-in", certificate, "-passout", "pass:", "-out", out
    )  # fmt: skip

    assert check(out.read_bytes(), "").leaf.facts.subject.common_name == NAME


def test_pbmac1_from_openssl_opens(tmp_path):
    require("openssl")
    try:
        content = by_openssl(tmp_path, NAME, PASSWORD, "-pbmac1_pbkdf2")
    except Exception:
        pytest.skip("needs openssl 3.4 or newer")

    assert_is_the_made_one(check(content, PASSWORD), tmp_path)


def test_what_keytool_makes_opens(tmp_path):
    opened = check(by_keytool(tmp_path, NAME, PASSWORD), PASSWORD)

    assert opened.leaf.facts.subject.common_name == NAME
    assert (opened.chain, opened.chain_is_complete) == ((), True)


@pytest.mark.parametrize("cipher", ["aes-128", "aes-192", "aes-256", "3des", "rc2-40", "3des-pkcs12"])
def test_what_certtool_makes_opens(tmp_path, cipher):
    require("certtool")
    key, certificate, ca = pem_files(tmp_path, NAME)
    out = tmp_path / "out.p12"
    run(
        "certtool", "--to-p12", "--load-privkey", key, "--load-certificate", certificate, "--load-ca-certificate", ca,
        "--p12-name", NAME, "--password", PASSWORD, "--pkcs-cipher", cipher, "--outder", "--outfile", out,
    )  # fmt: skip

    assert_is_the_made_one(check(out.read_bytes(), PASSWORD), tmp_path)


@pytest.mark.parametrize("options", [(), ("-c", "AES-256-CBC", "-C", "AES-128-CBC")], ids=["default", "AES"])
def test_what_pk12util_makes_opens(tmp_path, options):
    require("pk12util")
    if shutil.which("certutil") is None:
        pytest.skip("needs certutil")
    made = tmp_path / "made"
    (tmp_path / "password").write_text(PASSWORD + "\n")
    made_content = by_openssl(made, NAME, PASSWORD)
    (made / "in.p12").write_bytes(made_content)
    base, out = f"sql:{tmp_path}", tmp_path / "out.p12"
    run("certutil", "-N", "-d", base, "--empty-password")
    run("pk12util", "-i", made / "in.p12", "-d", base, "-w", tmp_path / "password")
    run("pk12util", "-o", out, "-n", NAME, "-d", base, "-w", tmp_path / "password", *options)

    assert_is_the_made_one(check(out.read_bytes(), PASSWORD), made)
