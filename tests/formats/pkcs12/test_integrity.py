"""The integrity check, PBMAC1 included; and the encodings of passwords."""

import hashlib
import hmac

import pytest

from bulkcert.errors import InvalidPassword, ItemRefusal
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.formats.pkcs12.passwords import pbkdf2_encodings, pkcs12_encodings, read_password
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.forge import certificate_bag, clear_safe, key_bag, pbkdf2, pfx, seq
from tests.formats.pkcs12.specimens import a_pair, open_by_the_library

KEY, CERTIFICATE = a_pair()
SAFE = clear_safe(key_bag(KEY), certificate_bag(CERTIFICATE))
HMACS = {"sha1": 7, "sha224": 8, "sha256": 9, "sha384": 10, "sha512": 11}


def hmac_with(digest: str) -> bytes:
    return seq(forge.oid(f"1.2.840.113549.2.{HMACS[digest]}"), forge.null())


def a_pbmac1_file(
    prf: str = "sha256",
    digest: str = "sha256",
    key_size: int | None = 32,
    *,
    password: bytes = forge.PASSWORD.encode(),
    iterations_of_mac_data: int = 1,
) -> bytes:
    """A file with a right PBMAC1 (RFC 9579)."""
    key = hashlib.pbkdf2_hmac(prf, password, forge.SALT, 10, key_size or 32)
    check = forge.mac_claim(
        hmac.digest(key, seq(SAFE), digest),
        iterations_of_mac_data,
        algorithm=forge.pbmac1(pbkdf2(10, prf=hmac_with(prf), key_size=key_size), hmac_with(digest)),
    )
    return pfx(SAFE, mac_data=check)


def code_of(content: bytes, password: str = forge.PASSWORD, **limits: int) -> str:
    try:
        open_pkcs12(content, Secret(password.encode()), Limits(**limits))
    except ItemRefusal as refusal:
        return refusal.code
    return "opened"


@pytest.mark.parametrize("prf", HMACS)
@pytest.mark.parametrize("digest", HMACS)
def test_pbmac1_opens_with_every_digest(prf, digest):
    content = a_pbmac1_file(prf, digest)

    assert code_of(content) == "opened"
    assert code_of(content, "another") == "wrong_password"


def test_pbmac1_opens_by_the_library_too():
    ours = open_pkcs12(a_pbmac1_file(), Secret(forge.PASSWORD.encode()))

    assert open_by_the_library(a_pbmac1_file(), forge.PASSWORD).leaf == ours.leaf


@pytest.mark.parametrize(
    ("key_size", "code"), [(1, "malformed_pkcs12"), (19, "malformed_pkcs12"), (20, "opened")]
)
def test_pbmac1_with_a_key_that_could_be_guessed_is_refused(key_size, code):
    """RFC 9579 §9: with a key of one octet, one file in 256 opens with any password."""
    assert code_of(a_pbmac1_file(key_size=key_size)) == code


def test_pbmac1_must_say_how_long_its_key_is():
    assert code_of(a_pbmac1_file(key_size=None)) == "malformed_pkcs12"


def test_a_key_longer_than_any_digest_is_read_within_reason():
    assert code_of(a_pbmac1_file(key_size=256)) == "opened"
    assert code_of(a_pbmac1_file(key_size=1025)) == "malformed_pkcs12"


def test_the_count_in_mac_data_means_nothing_to_pbmac1():
    content = a_pbmac1_file(iterations_of_mac_data=2**31 - 1)

    assert code_of(content, kdf_iterations=10) == "opened"
    assert code_of(content, kdf_iterations=9) == "too_costly"


def test_pbmac1_takes_latin_1_after_utf_8():
    assert code_of(a_pbmac1_file(password="ä".encode("latin-1")), "ä") == "opened"
    assert code_of(a_pbmac1_file(password="ä".encode()), "ä") == "opened"
    assert code_of(a_pbmac1_file(password="ä".encode("latin-1")), "ä", kdf_iterations=10) == "opened"


@pytest.mark.parametrize(
    "algorithm",
    [
        forge.pbmac1(forge.scrypt()),
        forge.pbmac1(pbkdf2(prf=seq(forge.oid("1.2.3"))), forge.HMAC_SHA256),
        forge.pbmac1(pbkdf2(key_size=32), seq(forge.oid("1.2.3"))),
    ],
)
def test_pbmac1_with_unknown_parts_is_unsupported(algorithm):
    assert code_of(pfx(SAFE, mac_data=forge.mac_claim(algorithm=algorithm))) == "unsupported_algorithm"


def test_one_changed_octet_anywhere_is_noticed():
    content = bytearray(pfx(SAFE))
    at = content.index(CERTIFICATE) + 100
    content[at] ^= 1

    assert code_of(bytes(content)) == "wrong_password"


def test_the_count_of_iterations_may_be_left_out():
    check = forge.mac(seq(SAFE))
    without = seq(*[check[2:][: -len(forge.integer(1))]])

    assert code_of(pfx(SAFE, mac_data=without)) == "opened"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", (b"\0a\0\0",)),
        ("", (b"\0\0", b"")),
        ("ä", (b"\0\xe4\0\0", b"\0\xc3\0\xa4\0\0")),
        ("\U0001f511", (b"\xd8\x3d\xdd\x11\0\0", b"\0\xf0\0\x9f\0\x94\0\x91\0\0")),
    ],
)
def test_a_password_is_widened_as_the_standard_says_then_as_old_tools_did(text, expected):
    assert pkcs12_encodings(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("a", (b"a",)), ("ä", (b"\xc3\xa4", b"\xe4")), ("€", (b"\xe2\x82\xac",))]
)
def test_pbkdf2_takes_utf_8_then_latin_1(text, expected):
    assert pbkdf2_encodings(text) == expected


@pytest.mark.parametrize("password", [b"\0", b"a\0", b"\xff", b"\xed\xa0\x80"])
def test_what_is_no_text_is_no_password(password):
    with pytest.raises(InvalidPassword) as caught:
        read_password(Secret(password))

    assert str(password) not in caught.value.detail
