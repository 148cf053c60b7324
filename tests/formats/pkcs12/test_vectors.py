"""The PKCS#12 files of PyPI's cryptography-vectors: each opens to what the library gives, or is refused."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.secret import Secret
from tests.formats.pkcs12.specimens import VECTORS, open_by_the_library

OPENS = "opens"
NAMED = ["name-1", "name-2", "name-2-3", "name-3", "name-all", "name-unicode", "no-name"]
EXPECTED: dict[str, tuple[str, str]] = {
    "cert-aes256cbc-no-key.p12": ("cryptography", "no_private_key"),
    "cert-key-aes256cbc.p12": ("cryptography", OPENS),
    "cert-none-key-none.p12": ("cryptography", OPENS),
    "cert-rc2-key-3des.p12": ("cryptography", OPENS),
    "java-truststore.p12": ("", "no_private_key"),
    "no-cert-key-aes256cbc.p12": ("cryptography", "no_certificate"),
    "no-password.p12": ("", OPENS),
    **{f"{name}-pwd.p12": ("password", OPENS) for name in NAMED},
    **{f"{name}-no-pwd.p12": ("", OPENS) for name in NAMED},
}
NAMED_WITHOUT_KEY = ["name-2", "name-3", "name-all", "name-unicode", "no-name"]
EXPECTED |= {f"no-cert-{name}-pwd.p12": ("password", "no_private_key") for name in NAMED_WITHOUT_KEY}
EXPECTED |= {f"no-cert-{name}-no-pwd.p12": ("", "no_private_key") for name in NAMED_WITHOUT_KEY}


def test_every_vector_is_in_the_table():
    assert {path.name for path in VECTORS.iterdir() if path.is_file()} == set(EXPECTED)


@pytest.mark.parametrize("name", [name for name, (_, expected) in EXPECTED.items() if expected == OPENS])
@pytest.mark.filterwarnings("ignore:PKCS#12 bundle could not be parsed as DER")
def test_a_vector_opens_to_what_the_library_gives(name):
    password = EXPECTED[name][0]
    content = (VECTORS / name).read_bytes()
    loaded = pkcs12.load_pkcs12(content, password.encode())
    assert loaded.key is not None
    assert loaded.cert is not None

    opened = open_pkcs12(content, Secret(password.encode()))

    assert opened.opened_by == "own"
    assert opened.leaf.der == loaded.cert.certificate.public_bytes(Encoding.DER)
    assert opened.private_key.reveal() == loaded.key.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    others = {one.certificate.public_bytes(Encoding.DER) for one in loaded.additional_certs}
    assert {certificate.der for certificate in opened.chain} <= others


@pytest.mark.parametrize("name", [name for name, (_, expected) in EXPECTED.items() if expected == OPENS])
def test_a_vector_opens_to_the_same_either_way(name):
    password = EXPECTED[name][0]
    content = (VECTORS / name).read_bytes()

    by_the_library = open_by_the_library(content, password)
    opened = open_pkcs12(content, Secret(password.encode()))

    assert by_the_library.opened_by == "library"
    assert vars(opened) | {"opened_by": ""} == vars(by_the_library) | {"opened_by": ""}


@pytest.mark.parametrize("name", [name for name, (_, expected) in EXPECTED.items() if expected != OPENS])
def test_a_vector_without_key_or_certificate_is_refused(name):
    password, code = EXPECTED[name]

    with pytest.raises(ItemRefusal) as refusal:
        open_pkcs12((VECTORS / name).read_bytes(), Secret(password.encode()))

    assert refusal.value.code == code


@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.startswith("java")])
def test_a_vector_does_not_open_with_another_password(name):
    with pytest.raises(ItemRefusal) as refusal:
        open_pkcs12((VECTORS / name).read_bytes(), Secret(b"another"))

    assert refusal.value.code == "wrong_password"
