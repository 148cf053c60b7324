"""A key that belongs to a certificate is told from one that does not, without a library's parser."""

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.key_match import match_key
from tests.builders import PrivateKey, a_certificate, an_ec_key, an_rsa_key

KEYS: dict[str, PrivateKey] = {
    "rsa-2048": an_rsa_key(),
    "p-256": an_ec_key(),
    "p-384": ec.generate_private_key(ec.SECP384R1()),
    "p-521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
CERTIFICATES = {name: a_certificate(key).public_bytes(Encoding.DER) for name, key in KEYS.items()}


def pkcs8(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("name", KEYS)
def test_the_digest_is_that_of_the_key_in_the_certificate(name: str) -> None:
    info = KEYS[name].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert match_key(CERTIFICATES[name], pkcs8(KEYS[name])) == hashlib.sha256(info).hexdigest()


@pytest.mark.parametrize("certificate", KEYS)
@pytest.mark.parametrize("key", KEYS)
def test_another_certificate_does_not_match(certificate: str, key: str) -> None:
    if certificate != key:
        assert match_key(CERTIFICATES[certificate], pkcs8(KEYS[key])) is None


@pytest.mark.parametrize(
    "other",
    [an_rsa_key(2048, 1), an_ec_key(), ed25519.Ed25519PrivateKey.generate()],
    ids=["rsa", "ec", "ed25519"],
)
def test_another_key_of_the_same_kind_does_not_match(other: PrivateKey) -> None:
    assert all(match_key(certificate, pkcs8(other)) is None for certificate in CERTIFICATES.values())


def test_an_rsa_key_whose_primes_do_not_make_its_modulus_does_not_match() -> None:
    key = an_rsa_key()
    numbers = key.private_numbers()
    encoded = pkcs8(key)
    prime = numbers.p.to_bytes(128)

    assert match_key(CERTIFICATES["rsa-2048"], encoded.replace(prime, numbers.q.to_bytes(128))) is None
    assert match_key(CERTIFICATES["rsa-2048"], encoded.replace(prime, bytes(127) + b"\1")) is None


def test_a_point_that_is_written_compressed_matches() -> None:
    key = an_ec_key()
    public = key.public_key()
    short, long = (
        public.public_bytes(Encoding.X962, form)
        for form in (PublicFormat.CompressedPoint, PublicFormat.UncompressedPoint)
    )
    der = a_certificate(key).public_bytes(Encoding.DER)
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    compressed = info[:1] + bytes([info[1] - 32]) + info[2:-67] + bytes([34]) + b"\0" + short
    tbs = x509.load_der_x509_certificate(der).tbs_certificate_bytes
    fields = tbs[2 + (tbs[1] & 0x7F) :].replace(info, compressed)  # its length takes more than an octet

    assert long not in compressed
    assert match_key(a_sequence(a_sequence(fields), a_sequence(), b"\3\1\0"), pkcs8(key)) == (
        hashlib.sha256(info).hexdigest()
    )


def a_sequence(*parts: bytes) -> bytes:
    content = b"".join(parts)
    return b"\x30\x82" + len(content).to_bytes(2) + content


@given(st.data())
def test_mutated_bytes_match_or_not_and_raise_nothing(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(KEYS)))
    certificate, key = bytearray(CERTIFICATES[name]), bytearray(pkcs8(KEYS[name]))
    target = data.draw(st.sampled_from([certificate, key]))
    for _ in range(data.draw(st.integers(1, 4))):
        target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.integers(0, 255))
    expected = match_key(CERTIFICATES[name], pkcs8(KEYS[name]))

    assert match_key(bytes(certificate), bytes(key)) in {None, expected}


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_match_nothing(certificate: bytes, key: bytes) -> None:
    assert match_key(certificate, key) is None


def test_what_is_too_long_is_not_looked_at() -> None:
    key = pkcs8(KEYS["p-256"])

    assert match_key(CERTIFICATES["p-256"] + bytes(64 * 1024), key) is None
    assert match_key(CERTIFICATES["p-256"], key + bytes(8 * 1024)) is None
