"""Key derivation, in Python and by libcrypto."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.pkcs12 import kdf, libcrypto
from bulkcert.formats.pkcs12.kdf import Purpose
from bulkcert.formats.pkcs12.oids import DIGESTS, HMACS


def widened(text: str) -> bytes:
    return text.encode("utf-16-be") + b"\0\0"


# The known answers that several libraries test their RFC 7292 Appendix B with.
KNOWN = [
    ("smeg", "0a58cf64530d823f", 1, 24, Purpose.KEY, "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"),
    ("smeg", "0a58cf64530d823f", 1, 8, Purpose.IV, "79993dfe048d3b76"),
    ("smeg", "642b99ab44fb4b1f", 1, 24, Purpose.KEY, "f3a95fec48d7711e985cfe67908c5ab79fa3d7c5caa5d966"),
    ("smeg", "642b99ab44fb4b1f", 1, 8, Purpose.IV, "c0a38d64a79bea1d"),
    ("smeg", "3d83c0e4546ac140", 1, 20, Purpose.MAC, "8d967d88f6caa9d714800ab3d48051d63f73a312"),
    ("queeg", "05dec959acff72f7", 1000, 24, Purpose.KEY, "ed2034e36328830ff09df1e1a07dd357185dac0d4f9eb3d4"),
    ("queeg", "05dec959acff72f7", 1000, 8, Purpose.IV, "11dedad7758d4860"),
    ("queeg", "1682c0fc5b3f7ec5", 1000, 24, Purpose.KEY, "483dd6e919d7de2e8e648ba8f862f3fbfbdc2bcb2c02957f"),
    ("queeg", "1682c0fc5b3f7ec5", 1000, 8, Purpose.IV, "9d461d1b00355c50"),
    ("queeg", "263216fcc2fab31c", 1000, 20, Purpose.MAC, "5ec4c7a80df652294c3925b6489a7ab857c83476"),
]


@pytest.mark.parametrize("derive", [kdf.derive_pkcs12, kdf.derive_pkcs12_in_python])
@pytest.mark.parametrize(("password", "salt", "iterations", "size", "purpose", "expected"), KNOWN)
def test_known_answers_come_out(derive, password, salt, iterations, size, purpose, expected):
    assert derive("sha1", widened(password), bytes.fromhex(salt), iterations, size, purpose).hex() == expected


@given(
    digest=st.sampled_from(sorted(DIGESTS.values())),
    password=st.text(max_size=40).filter(lambda text: "\0" not in text),
    salt=st.binary(max_size=80),
    iterations=st.integers(1, 20),
    size=st.integers(1, 200),
    purpose=st.sampled_from(Purpose),
)
def test_libcrypto_derives_what_python_does(digest, password, salt, iterations, size, purpose):
    octets = password.encode("utf-16-be", "surrogatepass") + b"\0\0"
    question = (digest, octets, salt, iterations, size, purpose)

    assert kdf.derive_pkcs12(*question) == kdf.derive_pkcs12_in_python(*question)


def test_the_empty_password_derives_differently_in_its_two_forms():
    question = (b"saltsalt", 10, 20, Purpose.KEY)

    assert kdf.derive_pkcs12("sha1", b"", *question) != kdf.derive_pkcs12("sha1", b"\0\0", *question)
    for octets in (b"", b"\0\0"):
        expected = kdf.derive_pkcs12_in_python("sha1", octets, *question)
        assert kdf.derive_pkcs12("sha1", octets, *question) == expected


@pytest.mark.parametrize("prf", sorted(HMACS.values()))
def test_pbkdf2_derives_what_hashlib_does(prf):
    name = prf.replace("sha512_", "sha512-") if "_" in prf else prf
    expected = hashlib.pbkdf2_hmac(name, b"password", b"saltsalt", 100, 50)

    assert kdf.derive_pbkdf2(prf, b"password", b"saltsalt", 100, 50) == expected


class WrongDerivation:
    """A libcrypto that derives, but something else."""

    def derive(self, *_: object) -> bytes:
        return b"wrong"


class RefusingDerivation:
    def derive(self, *_: object) -> bytes:
        raise ValueError


@pytest.mark.parametrize("native", [None, WrongDerivation(), RefusingDerivation()])
def test_a_libcrypto_that_does_not_agree_is_not_used(native):
    assert kdf.agreeing_digests(native) == frozenset()


def test_without_libcrypto_python_derives_the_same(monkeypatch):
    question = ("sha256", widened("password"), b"saltsalt", 10, 32, Purpose.MAC)
    expected = kdf.derive_pkcs12(*question)
    monkeypatch.setattr(kdf, "_NATIVE", None)
    monkeypatch.setattr(kdf, "_NATIVE_DIGESTS", frozenset())

    assert kdf.engine() == "python"
    assert kdf.derive_pkcs12(*question) == expected


def test_where_libcrypto_lacks_a_function_nothing_is_found(monkeypatch):
    class Lacking:
        def __init__(self, library: object) -> None:
            raise AttributeError

    assert libcrypto.find(Lacking) is None


def test_libcrypto_refuses_a_digest_that_it_does_not_know():
    native = libcrypto.find(libcrypto.Derivation)
    if native is None:
        pytest.skip("needs libcrypto linked dynamically")

    with pytest.raises(ValueError, match="does not derive"):
        native.derive("no-such-digest", b"\0\0", b"salt", 1, 20, Purpose.KEY)
