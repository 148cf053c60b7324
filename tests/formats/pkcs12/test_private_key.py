"""Private keys in every form that other readers take: EC numbers of other lengths, and version 2 (RFC 5958)."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.secret import Secret
from tests.builders import PrivateKey, a_certificate, an_rsa_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.specimens import der, der_of

CURVES = {
    "P-256": (ec.SECP256R1(), "1.2.840.10045.3.1.7", 32),
    "P-384": (ec.SECP384R1(), "1.3.132.0.34", 48),
    "P-521": (ec.SECP521R1(), "1.3.132.0.35", 66),
}
EC, ED25519 = "1.2.840.10045.2.1", "1.3.101.112"


def bits(content: bytes, tag: int = 0x03) -> bytes:
    return forge.tlv(tag, b"\0", content)


def point(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def an_ec_private_key(number: bytes, *rest: bytes) -> bytes:
    """ECPrivateKey (RFC 5915 §3)."""
    return forge.seq(forge.integer(1), forge.octets(number), *rest)


def a_private_key_info(algorithm: bytes, key: bytes, *rest: bytes, version: int = 0) -> bytes:
    return forge.seq(forge.integer(version), algorithm, forge.octets(key), *rest)


def of_curve(dotted: str) -> bytes:
    return forge.seq(forge.oid(EC), forge.oid(dotted))


def a_file(private_key_info: bytes, certificate: bytes, shrouded: bool) -> bytes:
    make = forge.shrouded_bag if shrouded else forge.key_bag
    return forge.pfx(
        forge.clear_safe(make(private_key_info)), forge.clear_safe(forge.certificate_bag(certificate))
    )


def outcome(private_key_info: bytes, certificate: bytes, shrouded: bool = False) -> OpenedCertificate | str:
    try:
        return open_pkcs12(a_file(private_key_info, certificate, shrouded), Secret(forge.PASSWORD.encode()))
    except ItemRefusal as refusal:
        return f"{refusal.code}: {refusal.detail}"


def opens_to(key: PrivateKey, private_key_info: bytes) -> bool:
    """In clear, and encrypted (where the library tries to load the key in one step)."""
    certificate = der(a_certificate(key))
    found = [outcome(private_key_info, certificate, shrouded) for shrouded in (False, True)]
    return all(
        isinstance(each, OpenedCertificate) and each.private_key == Secret(der_of(key)) for each in found
    )


def a_key_of_size(curve: str, octets: int) -> ec.EllipticCurvePrivateKey:
    """A key whose number fits into so many octets, and no fewer."""
    return ec.derive_private_key(int.from_bytes(b"\x5a" * octets), CURVES[curve][0])


@pytest.mark.parametrize("with_point", [True, False])
@pytest.mark.parametrize("written", [-2, -1, 0, 1, 2, 20], ids=lambda by: f"{by:+} octets")
@pytest.mark.parametrize("curve", CURVES)
def test_an_ec_number_of_another_length_opens(curve, written, with_point):
    _, dotted, size = CURVES[curve]
    key = a_key_of_size(curve, size - 2)
    number = key.private_numbers().private_value.to_bytes(size + written)
    public = [forge.tlv(0xA1, bits(point(key)))] if with_point else []

    assert opens_to(key, a_private_key_info(of_curve(dotted), an_ec_private_key(number, *public)))


@given(st.sampled_from(sorted(CURVES)), st.integers(1, 2**256 - 2**224 - 1), st.integers(0, 40))
def test_any_number_with_any_count_of_leading_zeros_opens(curve, value, zeros):
    key = ec.derive_private_key(value, CURVES[curve][0])
    number = bytes(zeros) + value.to_bytes((value.bit_length() + 7) // 8)

    assert opens_to(key, a_private_key_info(of_curve(CURVES[curve][1]), an_ec_private_key(number)))


def test_a_curve_that_is_named_in_the_key_alone_is_read():
    key = a_key_of_size("P-256", 31)
    named = forge.tlv(0xA0, forge.oid(CURVES["P-256"][1]))
    number = b"\x5a" * 31

    assert opens_to(key, a_private_key_info(forge.seq(forge.oid(EC)), an_ec_private_key(number, named)))


@pytest.mark.parametrize(
    ("number", "rest", "expected"),
    [
        (bytes(31), (), "malformed_pkcs12: The private key in the file cannot be read."),
        (b"", (), "malformed_pkcs12: The private key in the file cannot be read."),
        (b"\xff" * 33, (), "malformed_pkcs12: The private key in the file cannot be read."),
        (b"\xff" * 32, (), "malformed_pkcs12: The private key in the file cannot be read."),
        (b"\x5b" * 31, (), "key_mismatch: "),
        (
            b"\x5a" * 31,
            (forge.tlv(0xA1, bits(b"\4" + bytes(64))),),
            "malformed_pkcs12: The private key in the",
        ),
        (
            b"\x5a" * 31,
            (forge.tlv(0xA1, bits(b"")),),
            "malformed_pkcs12: The private key in the file cannot be",
        ),
        (b"\x5a" * 31, (forge.tlv(0xA1),), "malformed_pkcs12: "),
        (
            b"\x5a" * 31,
            (forge.tlv(0xA1, bits(point(a_key_of_size("P-256", 30)))),),
            "malformed_pkcs12: The public point in the EC key does not belong to its private number.",
        ),
    ],
)
def test_an_ec_key_that_is_none_is_refused(number, rest, expected):
    key = a_key_of_size("P-256", 31)
    found = outcome(
        a_private_key_info(of_curve(CURVES["P-256"][1]), an_ec_private_key(number, *rest)),
        der(a_certificate(key)),
    )

    assert isinstance(found, str)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    "dotted", ["1.3.132.0.33", "1.3.132.0.10", "1.2.3.4"], ids=["P-224", "P-256K", "unknown"]
)
def test_an_ec_number_on_another_curve_is_refused_by_name(dotted):
    found = outcome(
        a_private_key_info(of_curve(dotted), an_ec_private_key(b"\x5a" * 27)),
        der(a_certificate(a_key_of_size("P-256", 31))),
    )

    assert isinstance(found, str)
    assert found.startswith("unsupported_algorithm: ")


ATTRIBUTES = forge.tlv(0xA0, forge.seq(forge.oid("1.2.840.113549.1.9.20"), forge.tlv(0x31)))


@pytest.mark.parametrize("attributes", [(), (ATTRIBUTES,)], ids=["", "with attributes"])
@pytest.mark.parametrize("with_public", [True, False], ids=["public key", "no public key"])
@pytest.mark.parametrize("kind", ["EC", "Ed25519", "RSA"])
def test_a_key_of_version_2_opens(kind, with_public, attributes):
    if kind == "EC":
        key: PrivateKey = a_key_of_size("P-256", 32)
        algorithm, inner = of_curve(CURVES["P-256"][1]), an_ec_private_key(b"\x5a" * 32)
        public = point(key)
    elif kind == "Ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        algorithm, inner = forge.seq(forge.oid(ED25519)), forge.octets(key.private_bytes_raw())
        public = key.public_key().public_bytes_raw()
    else:
        key = an_rsa_key()
        algorithm, inner = forge.seq(forge.oid("1.2.840.113549.1.1.1"), forge.null()), rsa_of(der_of(key))
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    rest = (*attributes, bits(public, 0x81)) if with_public else attributes

    assert opens_to(key, a_private_key_info(algorithm, inner, *rest, version=1))


def rsa_of(private_key_info: bytes) -> bytes:
    from bulkcert.formats.pkcs12.private_key import read_private_key_info

    return read_private_key_info(private_key_info).key


@pytest.mark.parametrize("kind", ["EC", "Ed25519"])
def test_a_public_key_of_another_beside_a_key_of_version_2_is_refused(kind):
    if kind == "EC":
        key: PrivateKey = a_key_of_size("P-256", 31)
        algorithm, inner = of_curve(CURVES["P-256"][1]), an_ec_private_key(b"\x5a" * 31)
        other = point(a_key_of_size("P-256", 30))
    else:
        key = ed25519.Ed25519PrivateKey.generate()
        algorithm, inner = forge.seq(forge.oid(ED25519)), forge.octets(key.private_bytes_raw())
        other = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    found = outcome(
        a_private_key_info(algorithm, inner, bits(other, 0x81), version=1), der(a_certificate(key))
    )

    assert isinstance(found, str)
    assert found.startswith("malformed_pkcs12: ")
