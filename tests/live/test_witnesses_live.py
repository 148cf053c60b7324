# ruff: noqa: F811 - a fixture is used by its name
"""Files of other people's tools go in over HTTPS, and come out again with the same key, certificate and chain."""

import base64
import itertools
import subprocess
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.builders import a_credentials_file, a_zip, an_rsa_key
from tests.live.service import LIVE, LiveService, live_service  # noqa: F401 - a fixture
from tests.live.witnesses import Maker, by_certtool, by_keytool, by_openssl, by_pk12util, require

pytestmark = LIVE

PASSWORD = "corr=ct #horse"
RELEASE_PASSWORD = "a battery, stapled"
NUMBERS = itertools.count()


def openssl(*options: str, **rest: Any) -> Maker:
    return lambda directory, name, password: by_openssl(directory, name, password, *options, **rest)


def keytool(*key_options: str) -> Maker:
    return lambda directory, name, password: by_keytool(directory, name, password, *key_options)


def pk12util(*options: str) -> Maker:
    return lambda directory, name, password: by_pk12util(directory, name, password, *options)


MAKERS: dict[str, Maker] = {
    "openssl": openssl(),
    "openssl, RSA": lambda *place: by_openssl(*place, key=an_rsa_key()),
    "openssl -legacy": openssl("-legacy"),
    "openssl, 3DES": openssl("-legacy", "-descert"),
    "openssl, RC2-128": openssl("-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128"),
    "openssl, AES-128": openssl("-certpbe", "AES-128-CBC", "-keypbe", "AES-128-CBC"),
    "openssl, AES-192": openssl("-certpbe", "AES-192-CBC", "-keypbe", "AES-192-CBC"),
    "openssl, PBES2 with 3DES": openssl("-certpbe", "DES-EDE3-CBC", "-keypbe", "DES-EDE3-CBC"),
    "openssl, Camellia": openssl("-certpbe", "CAMELLIA-256-CBC", "-keypbe", "CAMELLIA-256-CBC"),
    "openssl, certificate in clear": openssl("-certpbe", "NONE"),
    "openssl, key in clear": openssl("-keypbe", "NONE"),
    "openssl, MAC SHA-1": openssl("-macalg", "SHA1"),
    "openssl, MAC SHA-384": openssl("-macalg", "SHA384"),
    "openssl, MAC SHA-512": openssl("-macalg", "SHA512"),
    "keytool, EC": keytool(),
    "keytool, RSA": keytool("-keyalg", "RSA", "-keysize", "2048"),
    **{
        f"certtool, {cipher}": partial(by_certtool, cipher=cipher)
        for cipher in ("aes-128", "aes-192", "aes-256", "3des")
    },
    "pk12util": pk12util(),
    "pk12util, AES": pk12util("-c", "AES-256-CBC", "-C", "AES-128-CBC"),
}
RELEASES = [
    {"format": "pkcs12", "encryption": "aes256"},
    {"format": "pkcs12", "encryption": "apple_legacy"},
    {"format": "pem"},
]


@dataclass(frozen=True)
class Contents:
    """What is the same whatever it is wrapped in: the key, the certificate, and the others in their order."""

    key: bytes
    certificate: bytes
    chain: tuple[bytes, ...]


def contents(key: Any, certificates: list[x509.Certificate]) -> Contents:
    first, *chain = [each.public_bytes(serialization.Encoding.DER) for each in certificates]
    return Contents(
        key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        first,
        tuple(chain),
    )


def of_pkcs12(content: bytes, password: str) -> Contents:
    """As `cryptography` reads it, which has no part in how the service reads these."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PKCS#12 bundle could not be parsed as DER")  # NSS writes BER
        found = pkcs12.load_pkcs12(content, password.encode())
    assert found.cert
    return contents(
        found.key, [found.cert.certificate, *(each.certificate for each in found.additional_certs)]
    )


def of_pem(content: bytes, password: str) -> Contents:
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in content
    key = serialization.load_pem_private_key(content, password.encode())
    return contents(key, x509.load_pem_x509_certificates(content))


def import_one(service: LiveService, name: str, content: bytes) -> str:
    """Import one file, and give the id of the certificate that was made of it."""
    bundle = a_zip({f"{name}.p12": content, "credential.txt": a_credentials_file({name: PASSWORD})})
    answer = service.request(
        "POST", "/api/v1/imports", headers={"Prefer": "wait=60"},
        data={"identity_type": "SERIAL_NUMBER"}, files={"bundle": ("bundle.zip", bundle)},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    [item] = service.request("GET", f"/api/v1/imports/{answer.json()['id']}/items").json()["items"]
    assert item["outcome"] == "created", item
    return str(item["certificate_id"])


def release(service: LiveService, certificate_id: str, order: dict[str, str]) -> bytes:
    answer = service.request(
        "POST", f"/api/v1/certificates/{certificate_id}/release", json=order | {"password": RELEASE_PASSWORD}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return base64.b64decode(answer.json()["content"], validate=True)


def assert_openssl_reads(content: bytes, directory: Path, *options: str) -> None:
    """`openssl pkcs12` checks the MAC and decrypts all of it."""
    (directory / "released").write_bytes(content)
    (directory / "release password").write_text(RELEASE_PASSWORD)
    shown = subprocess.run(
        ["openssl", "pkcs12", "-in", directory / "released", "-passin", f"file:{directory / 'release password'}",
         "-nodes", *options],
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    assert b"-----BEGIN PRIVATE KEY-----" in shown
    assert b"-----BEGIN CERTIFICATE-----" in shown


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_file_comes_out_with_the_key_and_the_chain_that_went_in(
    live_service: LiveService, tmp_path: Path, make: Maker
) -> None:
    require("openssl")
    name = f"WITNESS{next(NUMBERS):05}"
    made = make(tmp_path, name, PASSWORD)
    certificate_id = import_one(live_service, name, made)
    aes256, apple_legacy, pem = (release(live_service, certificate_id, order) for order in RELEASES)

    went_in = of_pkcs12(made, PASSWORD)
    assert of_pkcs12(aes256, RELEASE_PASSWORD) == went_in
    assert of_pkcs12(apple_legacy, RELEASE_PASSWORD) == went_in
    assert of_pem(pem, RELEASE_PASSWORD) == went_in
    assert_openssl_reads(aes256, tmp_path)
    assert_openssl_reads(apple_legacy, tmp_path, "-legacy")


def test_the_makers_make_different_keys(tmp_path: Path) -> None:
    """Else the test above could pass on what was kept before."""
    require("openssl")
    first, second = (by_openssl(tmp_path / name, name, PASSWORD) for name in ("FIRST", "SECOND"))

    assert of_pkcs12(first, PASSWORD).key != of_pkcs12(second, PASSWORD).key
