"""EC and Ed25519 keys are decrypted and loaded in one step: nothing may come of it but time saved."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x25519
from cryptography.hazmat.primitives.serialization import pkcs12

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12 import decoding, private_key
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.ciphers import encode
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.formats.pkcs12.pfx import read_pfx
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import PASSWORD, a_certificate, a_pkcs12, an_ec_key, an_rsa_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.forge import certificate_bag, clear_safe, encrypted_safe, pfx, shrouded_bag
from tests.formats.pkcs12.specimens import a_pair, der, der_of, written_by_the_library

KEY, CERTIFICATE = a_pair()
OTHER_KEY = der_of(an_ec_key())


@pytest.fixture
def loads(monkeypatch):
    """Note what came of each key that was to be loaded in one step."""
    found = []

    def load(key_info: bytes, password: bytes) -> private_key.PrivateKey | None:
        found.append(private_key.load_short_key(key_info, password))
        return found[-1]

    monkeypatch.setattr(decoding, "load_short_key", load)
    return found


def part_by_part(monkeypatch) -> None:
    monkeypatch.setattr(decoding, "LONGEST_SHORT_KEY", 0)


def outcome(content: bytes, password: str = forge.PASSWORD, **limits: int) -> OpenedCertificate | str:
    """What was opened, or the code and the words of the refusal."""
    try:
        return open_pkcs12(content, Secret(password.encode()), Limits(**limits))
    except ItemRefusal as refusal:
        return f"{refusal.code}: {refusal.detail}"


def with_key(
    key: bytes, scheme: bytes | None = None, password: str = forge.PASSWORD, iterations: int = 1
) -> bytes:
    encrypted = forge.seq(scheme or forge.pbes2(), forge.octets(forge.encrypt(key, password, iterations)))
    return pfx(
        clear_safe(forge.bag("1.2.840.113549.1.12.10.1.2", encrypted)),
        encrypted_safe(certificate_bag(CERTIFICATE)),
    )


@pytest.mark.parametrize(
    "key",
    [
        an_ec_key(),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["P-256", "P-384", "P-521", "Ed25519"],
)
def test_a_short_key_opens_to_the_same_in_one_step_and_part_by_part(key, loads, monkeypatch):
    content = a_pkcs12(key=key, certificate=a_certificate(key))

    in_one_step = outcome(content, PASSWORD)
    assert len(loads) == 1 and loads[0] is not None
    part_by_part(monkeypatch)

    assert isinstance(in_one_step, OpenedCertificate)
    assert in_one_step.private_key == Secret(der_of(key))
    assert vars(in_one_step) == vars(outcome(content, PASSWORD))
    assert len(loads) == 1


REFUSED_BY_THE_LIBRARY = {
    "another password": (with_key(KEY, password="another"), "wrong_password"),
    "junk": (with_key(b"junk"), "malformed_pkcs12"),
    "P-224": (with_key(der_of(ec.generate_private_key(ec.SECP224R1()))), "unsupported_algorithm"),
    "P-256K": (with_key(der_of(ec.generate_private_key(ec.SECP256K1()))), "unsupported_algorithm"),
    "Ed448": (with_key(der_of(ed448.Ed448PrivateKey.generate())), "unsupported_algorithm"),
    "X25519": (with_key(der_of(x25519.X25519PrivateKey.generate())), "unsupported_algorithm"),
    "a public point of another key": (
        with_key(KEY[:-64] + OTHER_KEY[-64:]),
        "malformed_pkcs12",
    ),
}


@pytest.mark.parametrize(
    ("content", "code"), REFUSED_BY_THE_LIBRARY.values(), ids=REFUSED_BY_THE_LIBRARY.keys()
)
def test_where_the_library_says_no_the_cause_is_found_part_by_part(content, code, loads, monkeypatch):
    refusal = outcome(content)

    assert loads == [None]
    part_by_part(monkeypatch)
    assert refusal == outcome(content)
    assert refusal.startswith(f"{code}: ")


def test_the_key_of_another_is_told_after_one_step_too(loads):
    assert outcome(with_key(OTHER_KEY)).startswith("key_mismatch: ")
    assert loads != [None]


def test_a_file_without_certificates_is_told_after_one_step_too(loads):
    assert outcome(pfx(clear_safe(shrouded_bag(KEY)))).startswith("no_certificate: ")
    assert loads != [None]


@pytest.mark.parametrize("iterations", [2, 1999])
def test_no_file_is_too_costly_for_having_been_tried_in_one_step(iterations, loads):
    scheme = forge.pbes2(forge.pbkdf2(iterations))
    wrong = pfx(clear_safe(shrouded_bag(KEY, scheme), certificate_bag(CERTIFICATE)))

    assert outcome(wrong, kdf_iterations=1 + iterations).startswith("wrong_password: ")
    assert len(loads) == 1
    assert outcome(wrong, kdf_iterations=iterations).startswith("too_costly: ")


def test_a_key_size_that_does_not_fit_is_refused_though_the_library_overlooks_it(loads):
    refusal = outcome(with_key(KEY, forge.pbes2(forge.pbkdf2(key_size=16))))

    assert refusal.startswith("malformed_pkcs12: ") and "size of a key" in refusal
    assert not loads


def test_the_step_is_charged(loads):
    pieces = read_pfx(with_key(KEY, forge.pbes2(forge.pbkdf2(1000)), iterations=1000))
    budget, whole = Budget(Limits(kdf_iterations=5000)), 6 * 5000 + 10 * Limits().pkcs12_bytes

    decoding.decode(pieces, encode(forge.PASSWORD, 0), budget)

    assert len(loads) == 1 and loads[0] is not None
    budget.spend(whole - 1001)
    assert not budget.can_afford(1)


PART_BY_PART = {
    "two keys": (
        pfx(clear_safe(shrouded_bag(KEY), shrouded_bag(OTHER_KEY), certificate_bag(CERTIFICATE))),
        forge.PASSWORD,
    ),
    "a key in clear beside it": (
        pfx(clear_safe(shrouded_bag(KEY), forge.key_bag(KEY), certificate_bag(CERTIFICATE))),
        forge.PASSWORD,
    ),
    "a hidden key beside it": (
        pfx(clear_safe(shrouded_bag(KEY), certificate_bag(CERTIFICATE)), encrypted_safe(shrouded_bag(KEY))),
        forge.PASSWORD,
    ),
    "RSA": (a_pkcs12(key=an_rsa_key()), PASSWORD),
    "3DES": (
        written_by_the_library(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA1()),
        PASSWORD,
    ),
    "a password beyond ASCII": (
        written_by_the_library(pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256(), "pässwörd"),
        "pässwörd",
    ),
}


@pytest.mark.parametrize(("content", "password"), PART_BY_PART.values(), ids=PART_BY_PART.keys())
def test_all_other_keys_are_decoded_part_by_part(content, password, loads):
    found = outcome(content, password)

    assert isinstance(found, OpenedCertificate) or found.startswith("several_private_keys: ")
    assert not loads


def test_no_rsa_key_is_short():
    rsa = forge.encrypt(der_of(an_rsa_key(1024)))

    assert len(rsa) > private_key.LONGEST_SHORT_KEY


def test_an_issued_certificate_of_the_opened_key_is_the_leaf_in_one_step(loads):
    key = an_ec_key()
    leaf = der(a_certificate(key))
    content = pfx(
        encrypted_safe(certificate_bag(CERTIFICATE), certificate_bag(leaf)),
        clear_safe(shrouded_bag(der_of(key))),
    )

    found = outcome(content)

    assert isinstance(found, OpenedCertificate)
    assert found.leaf.der == leaf
    assert len(loads) == 1
