"""Files in older ciphers, and with scrypt: the same certificate and key come out as of a file in AES."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12 import kdf
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import NOW, a_certificate, an_rsa_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.forge import IV, PASSWORD, SALT, octets, oid, pbes1, pbes2, pbkdf2, seq
from tests.formats.pkcs12.specimens import der, der_of
from tests.formats.pkcs12.test_certificates import (
    CA,
    ISSUED,
    KEY,
    LOCAL_ID,
    RENEWED,
    a_bag,
    attributes,
    opened_by_the_library,
)
from tests.formats.pkcs12.test_ciphers import encrypted
from tests.formats.pkcs12.test_rsa import PROVEN, encoded, is_the_same_key, numbers_of

ITERATIONS = 7
COST = (16, 8, 2)
AES_128 = seq(oid("2.16.840.1.101.3.4.1.2"), octets(IV))

Encrypt = Callable[[bytes, bytes], bytes]
"""Encrypts text under a password: UTF-8."""


def derived(password: bytes, size: int, purpose: kdf.Purpose) -> bytes:
    wide = password.decode().encode("utf-16-be") + b"\0\0"
    return kdf.derive_pkcs12_in_python("sha1", wide, SALT, ITERATIONS, size, purpose)


def in_rc4(size: int) -> Encrypt:
    def encrypt(text: bytes, password: bytes) -> bytes:
        return Cipher(ARC4(derived(password, size, kdf.Purpose.KEY)), None).encryptor().update(text)

    return encrypt


def in_two_key_3des(text: bytes, password: bytes) -> bytes:
    key = derived(password, 16, kdf.Purpose.KEY)
    return encrypted(TripleDES(key + key[:8]), derived(password, 8, kdf.Purpose.IV), 8, text)


def in_des(digest: str) -> Encrypt:
    """PBES1 of RFC 8018 §6.1, with PBKDF1."""

    def encrypt(text: bytes, password: bytes) -> bytes:
        key = password + SALT
        for _ in range(ITERATIONS):
            key = hashlib.new(digest, key).digest()
        return encrypted(TripleDES(key[:8] * 3), key[8:16], 8, text)

    return encrypt


def in_pbes2_des(text: bytes, password: bytes) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", password, SALT, ITERATIONS, 8)
    return encrypted(TripleDES(key * 3), IV[:8], 8, text)


def with_scrypt(text: bytes, password: bytes) -> bytes:
    cost, block_size, parallelization = COST
    key = hashlib.scrypt(password, salt=SALT, n=cost, r=block_size, p=parallelization, dklen=16)
    return encrypted(AES(key), IV, 16, text)


SCHEMES: dict[str, tuple[bytes, Encrypt]] = {
    "RC4-128": (pbes1("1.2.840.113549.1.12.1.1", ITERATIONS), in_rc4(16)),
    "RC4-40": (pbes1("1.2.840.113549.1.12.1.2", ITERATIONS), in_rc4(5)),
    "two-key 3DES": (pbes1("1.2.840.113549.1.12.1.4", ITERATIONS), in_two_key_3des),
    "MD5 and DES": (pbes1("1.2.840.113549.1.5.3", ITERATIONS), in_des("md5")),
    "SHA-1 and DES": (pbes1("1.2.840.113549.1.5.10", ITERATIONS), in_des("sha1")),
    "PBES2 with DES": (pbes2(pbkdf2(ITERATIONS), seq(oid("1.3.14.3.2.7"), octets(IV[:8]))), in_pbes2_des),
    "scrypt": (pbes2(forge.scrypt(*COST), AES_128), with_scrypt),
}  # fmt: skip


def a_file(
    scheme: str, *certificates: bytes, named: bytes = b"", key: bytes | None = None, password: str = PASSWORD
) -> bytes:
    """A file whose key and certificates are encrypted by one scheme; the localKeyID names a certificate."""
    algorithm, encrypt = SCHEMES[scheme]
    key_info = seq(algorithm, octets(encrypt(key or der_of(KEY), password.encode())))
    key_bag = seq(oid("1.2.840.113549.1.12.10.1.2"), forge.explicit(key_info), attributes(LOCAL_ID))
    bags = seq(*(a_bag(each, LOCAL_ID if each == named else None) for each in certificates))
    content = seq(oid("1.2.840.113549.1.7.1"), algorithm, forge.tlv(0x80, encrypt(bags, password.encode())))
    safe = seq(oid("1.2.840.113549.1.7.6"), forge.explicit(seq(forge.integer(0), content)))
    return forge.pfx(forge.clear_safe(key_bag), safe, password=password)


def opened(content: bytes, password: str = PASSWORD, **limits: int):
    return open_pkcs12(content, Secret(password.encode()), Limits(**limits), NOW)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("named", "expected"), [(ISSUED, ISSUED), (RENEWED, RENEWED), (b"", RENEWED)])
def test_the_local_key_id_decides_whatever_the_certificates_are_encrypted_with(scheme, named, expected):
    for order in itertools.permutations([ISSUED, RENEWED, CA]):
        found = opened(a_file(scheme, *order, named=named))

        assert found.opened_by == "own"
        assert found.leaf.der == expected
        assert [link.der for link in found.chain] == [CA]
        assert found.private_key.reveal() == der_of(KEY)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_library_finds_the_same_in_a_file_with_one_certificate(scheme):
    content = a_file(scheme, ISSUED, CA)
    ours, theirs = opened(content), opened_by_the_library(content)

    assert vars(ours) | {"opened_by": ""} == vars(theirs) | {"opened_by": ""}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_rsa_key_without_crt_values_opens_whatever_it_is_encrypted_with(scheme):
    key = an_rsa_key()
    bare = encoded(dataclasses.replace(numbers_of(key), **dict.fromkeys(PROVEN, 0)))
    found = opened(a_file(scheme, der(a_certificate(key)), CA, key=bare))

    kept = load_der_private_key(found.private_key.reveal(), None)
    assert is_the_same_key(numbers_of(kept), numbers_of(key))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_password_beyond_ascii_opens_every_scheme(scheme):
    assert opened(a_file(scheme, ISSUED, CA, password="pässwörd €"), "pässwörd €").leaf.der == ISSUED


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_part_under_another_password_is_refused(scheme):
    algorithm, encrypt = SCHEMES[scheme]
    key_info = seq(algorithm, octets(encrypt(der_of(KEY), b"another")))
    bag = forge.bag("1.2.840.113549.1.12.10.1.2", key_info)

    with pytest.raises(ItemRefusal) as caught:
        opened(forge.pfx(forge.clear_safe(bag, forge.certificate_bag(ISSUED))))

    assert caught.value.code in {"wrong_password", "malformed_pkcs12"}


def test_scrypt_is_counted_for_each_derivation_and_for_the_file():
    content = a_file("scrypt", ISSUED, CA)  # 256 for the key, and 256 for the certificates

    assert opened(content, scrypt_cost=256, scrypt_cost_of_file=512).leaf.der == ISSUED
    for limits in ({"scrypt_cost": 255}, {"scrypt_cost_of_file": 511}):
        with pytest.raises(ItemRefusal) as caught:
            opened(content, **limits)
        assert caught.value.code == "too_costly"


@pytest.mark.parametrize(
    ("cost", "why"),
    [((3, 8, 1), "parameter of scrypt"), ((1, 8, 1), "parameter of scrypt"), ((2, 0, 1), "not positive")],
)
def test_scrypt_with_parameters_that_it_cannot_have_is_malformed(cost, why):
    scheme = pbes2(forge.scrypt(*cost), AES_128)
    content = forge.pfx(forge.clear_safe(forge.shrouded_bag(der_of(KEY), scheme)))

    with pytest.raises(ItemRefusal, match=why) as caught:
        opened(content)
    assert caught.value.code == "malformed_pkcs12"
