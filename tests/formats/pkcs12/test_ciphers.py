"""Decrypting: what is read here, what a wrong parameter brings about, and what is left to the library."""

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2, TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from bulkcert.errors import ItemRefusal, MalformedPkcs12, WrongPassword
from bulkcert.formats.asn1.ber import Allowance, read
from bulkcert.formats.pkcs12 import kdf
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.ciphers import decrypt, encode
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.formats.pkcs12.pfx import Encrypted
from bulkcert.formats.pkcs12.schemes import read_scheme
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.forge import IV, PASSWORD, SALT, octets, oid, pbes1, pbes2, pbkdf2, seq
from tests.formats.pkcs12.specimens import a_pair

TEXT = b"any content, of a length that is no multiple"
WIDE = PASSWORD.encode("utf-16-be") + b"\0\0"
AES_OIDS = {16: "2.16.840.1.101.3.4.1.2", 24: "2.16.840.1.101.3.4.1.22", 32: "2.16.840.1.101.3.4.1.42"}


def encrypted(cipher: CipherAlgorithm, iv: bytes, block: int, text: bytes = TEXT) -> bytes:
    padder = padding.PKCS7(8 * block).padder()
    encryptor = Cipher(cipher, modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()


def decrypted(scheme: bytes, content: bytes, password: str = PASSWORD, **limits: int) -> bytes:
    part = Encrypted(read_scheme(read(scheme, Allowance())), content)
    return next(decrypt(part, encode(password, 0), Budget(Limits(**limits))))


@pytest.mark.parametrize("size", AES_OIDS)
@pytest.mark.parametrize("written_size", [None, "same"])
def test_pbes2_with_aes(size, written_size):
    key = kdf.derive_pbkdf2("sha256", PASSWORD.encode(), SALT, 7, size)
    cipher = seq(oid(AES_OIDS[size]), octets(IV))
    scheme = pbes2(pbkdf2(7, key_size=size if written_size else None), cipher)

    assert decrypted(scheme, encrypted(AES(key), IV, 16)) == TEXT


def test_pbes2_with_3des_and_the_default_prf():
    """Where no pseudo-random function is written, it is HMAC with SHA-1 (RFC 8018 §A.2)."""
    key = kdf.derive_pbkdf2("sha1", PASSWORD.encode(), SALT, 7, 24)
    scheme = pbes2(pbkdf2(7, prf=b""), seq(oid("1.2.840.113549.3.7"), octets(IV[:8])))

    assert decrypted(scheme, encrypted(TripleDES(key), IV[:8], 8)) == TEXT


@pytest.mark.parametrize(("dotted", "cipher", "size"), [("3", TripleDES, 24), ("5", RC2, 16)])
def test_pbes1(dotted, cipher, size):
    key = kdf.derive_pkcs12_in_python("sha1", WIDE, SALT, 7, size, kdf.Purpose.KEY)
    iv = kdf.derive_pkcs12_in_python("sha1", WIDE, SALT, 7, 8, kdf.Purpose.IV)
    scheme = pbes1(f"1.2.840.113549.1.12.1.{dotted}", 7)

    assert decrypted(scheme, encrypted(cipher(key), iv, 8)) == TEXT


@pytest.mark.parametrize(
    ("scheme", "content", "why"),
    [
        (pbes2(pbkdf2(key_size=16)), bytes(16), "does not fit its cipher"),
        (pbes2(pbkdf2(key_size=0)), bytes(16), "does not fit its cipher"),
        (pbes2(cipher=seq(oid(AES_OIDS[32]))), bytes(16), "parameters of a cipher are missing"),
        (pbes2(cipher=seq(oid(AES_OIDS[32]), octets(bytes(8)))), bytes(16), "whole blocks"),
        (pbes2(), bytes(15), "whole blocks"),
        (pbes1(), bytes(7), "whole blocks"),
        (pbes1("1.2.840.113549.1.12.1.6"), bytes(7), "whole blocks"),
        (seq(oid("1.2.840.113549.1.5.13")), b"", "parameters of an algorithm are missing"),
        (seq(oid("1.2.840.113549.1.12.1.3"), octets(b"")), b"", "has the tag"),
    ],
)
def test_parameters_that_make_no_sense_are_malformed(scheme, content, why):
    with pytest.raises(MalformedPkcs12, match=why):
        decrypted(scheme, content)


@pytest.mark.parametrize("scheme", [pbes2(), pbes1(), pbes1("1.2.840.113549.1.12.1.6")])
def test_nothing_encrypted_is_nothing_decrypted(scheme):
    with pytest.raises(WrongPassword):
        decrypted(scheme, b"")


@pytest.mark.parametrize("last", [b"\0", b"\x11", b"\2\3\3", b"\xff"])
def test_a_wrong_padding_is_a_wrong_password(last):
    key = kdf.derive_pbkdf2("sha256", PASSWORD.encode(), SALT, 1, 32)
    encryptor = Cipher(AES(key), modes.CBC(IV)).encryptor()

    with pytest.raises(WrongPassword, match="does not decrypt a part"):
        decrypted(pbes2(), encryptor.update(last.rjust(16, b"\4")))


def test_the_second_encoding_for_pbkdf2_is_tried_and_counts_once():
    content = forge.encrypt(TEXT, "pä".encode("latin-1"))

    assert decrypted(pbes2(), content, "pä", kdf_iterations=1) == TEXT


KEY, CERTIFICATE = a_pair()
CAMELLIA = seq(oid("1.2.392.200011.61.1.1.1.4"), octets(IV))


def in_camellia(text: bytes, password: str = PASSWORD) -> bytes:
    from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia

    return encrypted(Camellia(kdf.derive_pbkdf2("sha256", password.encode(), SALT, 1, 32)), IV, 16, text)


def rare_key(text: bytes = KEY, password: str = PASSWORD) -> bytes:
    value = seq(pbes2(cipher=CAMELLIA), octets(in_camellia(text, password)))
    return forge.bag("1.2.840.113549.1.12.10.1.2", value)


def outcome(content: bytes, **limits: int) -> str:
    try:
        return open_pkcs12(content, Secret(PASSWORD.encode()), Limits(**limits)).opened_by
    except ItemRefusal as refusal:
        return refusal.code


CERTIFICATE_BAG = forge.certificate_bag(CERTIFICATE)


@pytest.mark.parametrize(
    ("safes", "expected"),
    [
        pytest.param([forge.clear_safe(rare_key(), CERTIFICATE_BAG)], "library", id="a rare cipher"),
        pytest.param([forge.encrypted_safe(rare_key(), CERTIFICATE_BAG)], "library", id="a hidden rare cipher"),
        pytest.param([forge.clear_safe(rare_key())], "no_certificate", id="no certificate"),
        pytest.param(
            [forge.clear_safe(rare_key(), forge.certificate_bag(b"junk"))], "malformed_certificate", id="junk"
        ),
        pytest.param(
            [forge.clear_safe(rare_key(), forge.key_bag(KEY), CERTIFICATE_BAG)], "several_private_keys", id="two keys"
        ),
        pytest.param(
            [forge.clear_safe(rare_key(password="another"), CERTIFICATE_BAG)], "unsupported_algorithm", id="password"
        ),
        pytest.param([forge.clear_safe(rare_key(bytes(5000)), CERTIFICATE_BAG)], "key_too_large", id="too large"),
    ],
)  # fmt: skip
def test_what_is_rare_goes_to_the_library(safes, expected):
    assert outcome(forge.pfx(*safes)) == expected


def test_what_goes_to_the_library_counts_once():
    """The library does all of it again, which is work and no further iterations of the file."""
    content = forge.pfx(forge.clear_safe(rare_key(), CERTIFICATE_BAG))  # one iteration each for MAC and key

    assert outcome(content, kdf_iterations=2) == "library"
    assert outcome(content, kdf_iterations=1) == "too_costly"


def test_what_the_library_would_do_with_hidden_keys_is_charged():
    expensive = forge.shrouded_bag(KEY, pbes2(pbkdf2(1_000_000), CAMELLIA))

    assert outcome(forge.pfx(forge.encrypted_safe(expensive)), kdf_iterations=1_000_000) == "too_costly"


def test_a_mac_that_only_the_library_could_know_is_unsupported():
    """GOST's digest: nobody here reads it, and whether the password is right stays open."""
    digest = seq(oid("1.2.643.2.2.9"), forge.null())
    content = forge.pfx(forge.clear_safe(forge.key_bag(KEY)), mac_data=forge.mac_claim(algorithm=digest))

    assert outcome(content) == "unsupported_algorithm"
