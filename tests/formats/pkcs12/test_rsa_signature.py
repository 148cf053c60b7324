"""One signature of an RSA key, by libcrypto's two powers and by the library."""

import dataclasses

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.pkcs12 import libcrypto, rsa_signature
from bulkcert.formats.pkcs12.rsa import RsaNumbers
from bulkcert.formats.pkcs12.rsa_signature import sign
from tests.builders import an_rsa_key

needs_pair = pytest.mark.skipif(
    rsa_signature.find_pair() is None, reason="needs libcrypto 3 linked dynamically"
)


def by_the_library(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


@given(st.binary(max_size=100))
def test_a_signature_is_the_one_that_the_library_makes(message):
    assert sign(an_rsa_key(), message) == by_the_library(an_rsa_key(), message)


@needs_pair
def test_the_usual_size_is_signed_without_the_library(monkeypatch):
    """So that the test above compares two things."""
    monkeypatch.setattr(rsa_signature.padding, "PKCS1v15", None)

    assert len(sign(an_rsa_key(), b"message")) == 256


@pytest.mark.parametrize("bits", [2047, 3072])
def test_other_sizes_are_signed_by_the_library(monkeypatch, bits):
    class Unused:
        def powers(self, *_numbers: object) -> tuple[int, int]:
            raise AssertionError

    monkeypatch.setattr(rsa_signature, "_PAIR", Unused())
    key = an_rsa_key(bits)

    assert sign(key, b"message") == by_the_library(key, b"message")


def test_without_libcrypto_the_library_signs(monkeypatch):
    monkeypatch.setattr(rsa_signature, "_PAIR", None)

    assert sign(an_rsa_key(), b"message") == by_the_library(an_rsa_key(), b"message")


@pytest.mark.parametrize("prime", ["p", "q"])
def test_the_signature_of_a_key_with_a_composite_prime_is_not_verified(prime):
    sound = an_rsa_key().private_numbers()
    p, q = {"p": (sound.p + 2, sound.q), "q": (sound.p, sound.q + 2)}[prime]
    unsound = RsaNumbers(
        p * q, 65537, sound.d, p, q, sound.d % (p - 1), sound.d % (q - 1), pow(q, -1, p)
    ).load()

    signature = sign(unsound, b"message")

    with pytest.raises(InvalidSignature):
        unsound.public_key().verify(signature, b"message", padding.PKCS1v15(), hashes.SHA256())


@dataclasses.dataclass
class Miscounting:
    """A libcrypto with one of both powers wrong."""

    place: int

    def powers(self, *numbers: tuple[int, int, int]) -> tuple[int, ...]:
        powers = [pow(*each) for each in numbers]
        powers[self.place] += 1
        return tuple(powers)


@pytest.mark.parametrize("pair", [None, Miscounting(0), Miscounting(1)])
def test_a_libcrypto_that_does_not_agree_is_not_used(monkeypatch, pair):
    monkeypatch.setattr(libcrypto, "find", lambda _kind: pair)

    assert rsa_signature.find_pair() is None


def test_the_release_that_writes_beyond_its_memory_is_not_used():
    """CVE-2022-2274, in OpenSSL 3.0.4 alone."""

    class Library:
        def OpenSSL_version_num(self) -> int:
            return 0x30000040

    with pytest.raises(OSError, match="CVE-2022-2274"):
        libcrypto.PairOfPowers(Library())
