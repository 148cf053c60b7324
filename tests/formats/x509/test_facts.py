"""What a certificate says of itself, and the order of a chain."""

import base64
import datetime as dt
import hashlib
import ipaddress
import re
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkcert.errors import MalformedCertificate
from bulkcert.formats.x509 import (
    allows_client_auth,
    build_chain,
    is_issued_for,
    list_oddities,
    parse_certificate,
)
from bulkcert.values.certificates import Certificate, KeyType, Name
from tests.builders import DAY, NOW, a_ca, a_certificate, an_ec_key, an_rsa_key

VECTORS = Path(cryptography_vectors.__file__).parent / "x509"


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def build(
    *extensions: x509.ExtensionType,
    subject: x509.Name | None = None,
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
    key=None,
    serial: int = 5,
    valid: tuple[dt.datetime, dt.datetime] = (NOW, NOW + DAY),
) -> x509.Certificate:
    key = key or an_ec_key()
    issuer_name, issuer_key = issuer or (name((NameOID.COMMON_NAME, "CA")), an_ec_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name((NameOID.COMMON_NAME, "device")) if subject is None else subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def parsed(certificate: x509.Certificate) -> Certificate:
    return parse_certificate(der(certificate))


def test_all_facts_are_read():
    key = an_ec_key()
    subject = name(
        (NameOID.COUNTRY_NAME, "CH"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Bern"),
        (NameOID.LOCALITY_NAME, "Thun"),
        (NameOID.ORGANIZATION_NAME, "Example, Inc."),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Devices"),
        (NameOID.COMMON_NAME, "A12BC3D4EFGH"),
        (NameOID.EMAIL_ADDRESS, "device@example.org"),
        (NameOID.SERIAL_NUMBER, "A12BC3D4EFGH"),
    )
    certificate = build(subject=subject, key=key, serial=2**159 - 1)

    found = parsed(certificate)
    facts = found.facts

    assert found.der == der(certificate)
    assert facts.fingerprint_sha256 == hashlib.sha256(der(certificate)).hexdigest()
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert facts.public_key_sha256 == hashlib.sha256(info).hexdigest()
    assert facts.serial_number == str(2**159 - 1)
    assert facts.subject == Name(
        text=r"serialNumber=A12BC3D4EFGH,emailAddress=device@example.org,CN=A12BC3D4EFGH,OU=Devices,"
        r"O=Example\, Inc.,L=Thun,ST=Bern,C=CH",
        common_name="A12BC3D4EFGH",
        email_address="device@example.org",
        organizational_unit="Devices",
        organization="Example, Inc.",
        locality="Thun",
        state="Bern",
        country="CH",
    )
    assert facts.issuer == Name("CN=CA", common_name="CA")
    assert (facts.not_before, facts.not_after) == (NOW, NOW + DAY)
    assert facts.not_before.tzinfo is dt.UTC
    assert facts.signature_algorithm == "ECDSA_WITH_SHA256"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (an_rsa_key(), (KeyType.RSA, 2048)),
        (an_ec_key(), (KeyType.EC, 256)),
        (ec.generate_private_key(ec.SECP521R1()), (KeyType.EC, 521)),
        (ed25519.Ed25519PrivateKey.generate(), (KeyType.ED25519, 256)),
        (ed448.Ed448PrivateKey.generate(), (KeyType.ED448, 456)),
    ],
)
def test_kind_and_size_of_the_key_are_read(key, expected):
    facts = parsed(build(key=key)).facts

    assert (facts.key_type, facts.key_size) == expected


def test_a_certificate_is_issued_for_its_own_key_and_for_no_other():
    keys = [
        an_rsa_key(),
        an_ec_key(),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ]
    certificates = [parsed(build(key=key)) for key in keys]

    for key in keys:
        fitting = [is_issued_for(certificate, key.public_key()) for certificate in certificates]
        assert fitting == [other is key for other in keys]


def test_a_certificate_on_a_key_of_an_unknown_kind_is_issued_for_nobody_here():
    content = der(build(key=an_ec_key()))
    curve = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
    unknown = parse_certificate(content.replace(curve, curve[:-1] + b"\x7f"))

    assert unknown.facts.key_type is KeyType.OTHER
    assert not is_issued_for(unknown, an_ec_key().public_key())


def test_of_several_attributes_the_most_specific_one_counts():
    units = [(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in ("All", "Some", "One")]

    assert parsed(build(subject=name(*units))).facts.subject.organizational_unit == "One"


def test_an_empty_subject_is_no_fault():
    facts = parsed(build(subject=x509.Name([]))).facts

    assert facts.subject == Name("")


UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")


@pytest.mark.parametrize(
    ("general_name", "expected"),
    [
        (x509.DNSName("host.example.org"), ("host.example.org",)),
        (x509.RFC822Name("a@example.org"), ("a@example.org",)),
        (x509.UniformResourceIdentifier("urn:device:1"), ("urn:device:1",)),
        (x509.IPAddress(ipaddress.ip_address("192.0.2.1")), ("192.0.2.1",)),
        (x509.DirectoryName(name((NameOID.COMMON_NAME, "x"))), ("CN=x",)),
        (x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), ("1.2.3",)),
        (x509.OtherName(UPN, b"\x0c\x0ba@a.example"), ("a@a.example",)),
        (x509.OtherName(UPN, b"\x0c\x02\xff\xff"), ()),
        (x509.OtherName(UPN, b"\x04\x01a"), ()),
        (x509.OtherName(UPN, b"\x0c\x81\x80" + b"a" * 128), ()),
    ],
)
def test_alternative_names_are_plain_text(general_name, expected):
    certificate = build(x509.SubjectAlternativeName([general_name]))

    assert parsed(certificate).facts.subject_alternative_names == expected


def usages(*oids: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(list(oids))


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ([], True),
        ([usages(ExtendedKeyUsageOID.CLIENT_AUTH)], True),
        ([usages(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)], True),
        ([usages(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)], True),
        ([usages(ExtendedKeyUsageOID.SERVER_AUTH)], False),
        ([x509.UnrecognizedExtension(ExtendedKeyUsageOID.CLIENT_AUTH, b"junk")], True),
        ([x509.UnrecognizedExtension(x509.ExtendedKeyUsage.oid, b"junk")], False),
    ],
)
def test_client_authentication_is_allowed_unless_other_usages_alone_are_named(extensions, expected):
    assert allows_client_auth(parsed(build(*extensions))) is expected


def test_an_extension_that_cannot_be_read_loses_only_itself():
    certificate = build(
        x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"junk"),
        usages(ExtendedKeyUsageOID.CLIENT_AUTH),
    )

    found = parsed(certificate)

    assert found.facts.subject_alternative_names == ()
    assert allows_client_auth(found)
    assert list_oddities(found) == ("subjectAltName",)


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x30\x00", b"\x30\x80\x00\x00"])
def test_what_is_no_certificate_is_malformed(junk):
    with pytest.raises(MalformedCertificate, match="standard form"):
        parse_certificate(junk)


def test_a_certificate_cut_short_or_with_something_behind_is_malformed():
    content = der(a_certificate(an_ec_key()))
    for changed in (content[:-1], content + b"\0"):
        with pytest.raises(MalformedCertificate):
            parse_certificate(changed)


def test_a_certificate_with_an_unknown_version_is_malformed():
    content = der(a_certificate(an_ec_key()))
    assert content.count(b"\xa0\x03\x02\x01\x02") == 1

    with pytest.raises(MalformedCertificate):
        parse_certificate(content.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"))


def vector_certificates() -> list[bytes]:
    """Everything in the vectors that may be a certificate, odd ones and worse included."""
    files = [path for path in sorted(VECTORS.rglob("*")) if path.is_file()]
    found = [content for path in files if (content := path.read_bytes()).startswith(b"\x30")]
    for path in files:
        for block in re.findall(
            rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", path.read_bytes(), re.DOTALL
        ):
            lines = b"".join(line for line in block.splitlines() if b":" not in line and b"-" not in line)
            found.append(base64.b64decode(lines))
    return found


def test_certificates_of_every_sort_are_read_or_malformed_and_nothing_warns():
    read = 0
    for content in vector_certificates():
        try:
            certificate = parse_certificate(content)
        except MalformedCertificate:
            continue
        read += 1
        assert isinstance(allows_client_auth(certificate), bool)
        build_chain(certificate, [certificate], NOW)

    assert read > 400


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_changed_certificate_is_read_or_malformed(choices):
    content = bytearray(SAMPLE)
    for _ in range(choices.draw(st.integers(1, 5))):
        content[choices.draw(st.integers(0, len(content) - 1))] = choices.draw(st.integers(0, 255))
    try:
        certificate = parse_certificate(bytes(content))
        allows_client_auth(certificate)
        build_chain(certificate, [certificate, CA], NOW)
    except MalformedCertificate:
        return
    assert certificate.der == bytes(content)


CA = parsed(a_ca()[0])
SAMPLE = der(
    build(
        x509.SubjectAlternativeName([x509.DNSName("a.example.org"), x509.RFC822Name("a@example.org")]),
        usages(ExtendedKeyUsageOID.CLIENT_AUTH),
        x509.BasicConstraints(ca=False, path_length=None),
        issuer=(a_ca()[0].subject, a_ca()[1]),
    )
)
