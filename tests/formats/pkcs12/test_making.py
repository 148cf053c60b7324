"""What is made opens elsewhere, holds the same, and is encrypted the way it says."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkcert.errors import WrongPassword
from bulkcert.formats.pkcs12 import kdf, making
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.limits import Limits
from bulkcert.values.releases import Encryption
from bulkcert.values.secret import Secret
from tests.builders import DAY, NOW, PrivateKey, a_ca, a_certificate, a_name, an_ec_key, an_rsa_key
from tests.live.witnesses import require

NAME = "A12BC3D4EFGH"
PASSWORD = "correct horse battery"
KEYS: dict[str, PrivateKey] = {
    "RSA": an_rsa_key(),
    "EC P-256": an_ec_key(),
    "EC P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
PASSWORDS = [
    "correct horse battery",
    "mit Umläuten und €",
    "mit Emoji 😀 und so",
    " spaces around ",
    "q\"u'o\\te$`!",
]
DER = serialization.Encoding.DER

LEGACY = [
    "MAC: sha1, Iteration 2048",
    "PKCS7 Encrypted data: pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048",
    "Shrouded Keybag: pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048",
]
MODERN = [
    "MAC: sha256, Iteration 2048",
    "PKCS7 Encrypted data: PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256",
    "Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256",
]


def plain(key: PrivateKey) -> bytes:
    return key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def a_chain() -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """An intermediate CA below the test CA, and the key of it."""
    ca, ca_key = a_ca()
    key = an_ec_key()
    intermediate = (
        x509.CertificateBuilder()
        .subject_name(a_name("Intermediate (test only)"))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 100 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, ca.signature_hash_algorithm)
    )
    return [intermediate, ca], key


CHAIN, CHAIN_KEY = a_chain()
CHAIN_DER = [link.public_bytes(DER) for link in CHAIN]
LEAVES = {
    kind: a_certificate(key, NAME, issuer=(CHAIN[0], CHAIN_KEY)).public_bytes(DER)
    for kind, key in KEYS.items()
}


def made(kind: str, encryption: Encryption, password: str = PASSWORD) -> bytes:
    key = Secret(plain(KEYS[kind]))
    return making.make_pkcs12(
        key, LEAVES[kind], CHAIN_DER, NAME, Secret(password.encode()), encryption
    ).reveal()


def by_openssl(
    directory: Path, content: bytes, password: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run `openssl pkcs12` on a file; its password goes through another one."""
    require("openssl")
    (directory / "made.p12").write_bytes(content)
    (directory / "password").write_text(password, encoding="utf-8")
    return subprocess.run(
        ["openssl", "pkcs12", "-in", directory / "made.p12", "-passin", f"file:{directory / 'password'}", *options],
        check=False, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("kind", KEYS)
def test_what_is_made_opens_here_to_the_same(kind: str, encryption: Encryption) -> None:
    opened = open_pkcs12(made(kind, encryption), Secret(PASSWORD.encode()))

    assert opened.opened_by == "own"
    assert opened.private_key.reveal() == plain(KEYS[kind])
    assert opened.leaf.der == LEAVES[kind]
    assert [link.der for link in opened.chain] == CHAIN_DER


@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("kind", KEYS)
def test_without_libcrypto_the_same_is_made(
    kind: str, encryption: Encryption, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(kdf, "_NATIVE_DIGESTS", frozenset())
    opened = open_pkcs12(made(kind, encryption), Secret(PASSWORD.encode()))

    assert opened.private_key.reveal() == plain(KEYS[kind])
    assert [opened.leaf.der, *(link.der for link in opened.chain)] == [LEAVES[kind], *CHAIN_DER]


@pytest.mark.slow
@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("kind", KEYS)
def test_what_is_made_opens_by_openssl_to_the_same(tmp_path: Path, kind: str, encryption: Encryption) -> None:
    legacy = ["-legacy"] if encryption is Encryption.APPLE_LEGACY else []
    done = by_openssl(tmp_path, made(kind, encryption), PASSWORD, "-nodes", *legacy)

    assert done.returncode == 0, done.stderr
    pem = done.stdout.encode()
    assert plain(serialization.load_pem_private_key(pem, None)) == plain(KEYS[kind])  # type: ignore[arg-type]
    found = {certificate.public_bytes(DER) for certificate in x509.load_pem_x509_certificates(pem)}
    assert found == {LEAVES[kind], *CHAIN_DER}
    assert f"friendlyName: {NAME}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encryption", "expected"), [(Encryption.APPLE_LEGACY, LEGACY), (Encryption.AES256, MODERN)]
)
@pytest.mark.parametrize("kind", KEYS)
def test_key_certificates_and_integrity_are_protected_as_the_name_says(
    tmp_path: Path, kind: str, encryption: Encryption, expected: list[str]
) -> None:
    done = by_openssl(tmp_path, made(kind, encryption), PASSWORD, "-legacy", "-info", "-noout")

    assert done.returncode == 0, done.stderr
    protections = [
        line for line in done.stderr.splitlines() if line.startswith(("MAC:", "PKCS7 Encrypted", "Shrouded"))
    ]
    assert protections == expected
    assert "Keybag: none" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("password", PASSWORDS)
def test_every_tool_reads_the_password_alike(tmp_path: Path, password: str, encryption: Encryption) -> None:
    content = made("EC P-256", encryption, password)

    assert open_pkcs12(content, Secret(password.encode())).leaf.der == LEAVES["EC P-256"]
    assert pkcs12.load_pkcs12(content, password.encode()).cert is not None
    assert by_openssl(tmp_path, content, password, "-legacy", "-noout").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("encryption", Encryption)
def test_another_password_does_not_open_it(tmp_path: Path, encryption: Encryption) -> None:
    content = made("EC P-256", encryption)

    with pytest.raises(WrongPassword):
        open_pkcs12(content, Secret(PASSWORD.encode() + b" "))
    assert by_openssl(tmp_path, content, PASSWORD + "x", "-legacy", "-noout").returncode != 0


@pytest.mark.parametrize("encryption", Encryption)
def test_what_is_made_is_within_the_limits_of_an_import(encryption: Encryption) -> None:
    """Twice: what one installation releases, another one with its defaults can import."""
    open_pkcs12(made("RSA", encryption), Secret(PASSWORD.encode()), Limits(kdf_iterations=1_500_000))


def test_a_chain_may_be_empty() -> None:
    key, leaf = Secret(plain(KEYS["EC P-256"])), LEAVES["EC P-256"]
    content = making.make_pkcs12(key, leaf, [], NAME, Secret(PASSWORD.encode()), Encryption.AES256)

    assert open_pkcs12(content.reveal(), Secret(PASSWORD.encode())).chain == ()


@settings(max_examples=25)
@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=12, max_size=128))
def test_any_password_that_is_taken_opens_what_it_made(password: str) -> None:
    content = made("EC P-256", Encryption.APPLE_LEGACY, password)

    assert open_pkcs12(content, Secret(password.encode())).leaf.der == LEAVES["EC P-256"]


@pytest.mark.parametrize("kind", KEYS)
def test_pem_holds_the_encrypted_key_the_certificate_and_its_chain_in_this_order(kind: str) -> None:
    content = making.make_pem(
        Secret(plain(KEYS[kind])), LEAVES[kind], CHAIN_DER, Secret(PASSWORD.encode())
    ).reveal()

    assert [line for line in content.decode().splitlines() if line.startswith("-----BEGIN")] == [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        *["-----BEGIN CERTIFICATE-----"] * 3,
    ]
    key = serialization.load_pem_private_key(content, PASSWORD.encode())
    assert plain(key) == plain(KEYS[kind])  # type: ignore[arg-type]
    certificates = x509.load_pem_x509_certificates(content)
    assert [each.public_bytes(DER) for each in certificates] == [LEAVES[kind], *CHAIN_DER]


@pytest.mark.slow
def test_the_key_in_pem_opens_by_openssl_and_is_under_aes_256(tmp_path: Path) -> None:
    require("openssl")
    path = tmp_path / "made.pem"
    key = Secret(plain(KEYS["EC P-256"]))
    path.write_bytes(making.make_pem(key, LEAVES["EC P-256"], CHAIN_DER, Secret(PASSWORD.encode())).reveal())
    (tmp_path / "password").write_text(PASSWORD)
    opened = subprocess.run(
        ["openssl", "pkey", "-in", path, "-passin", f"file:{tmp_path / 'password'}", "-noout", "-check"],
        check=False, capture_output=True,
    )  # fmt: skip
    structure = subprocess.run(
        ["openssl", "asn1parse", "-in", path], check=True, capture_output=True, text=True
    )

    assert opened.returncode == 0, opened.stderr
    assert "aes-256-cbc" in structure.stdout
    assert "hmacWithSHA256" in structure.stdout
