import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from bulkcert.deployments.profiles.fit import Fit, check_fit
from bulkcert.errors.policies import (
    CertificateHasExpired,
    CertificateNotYetValid,
    FieldNotInCertificate,
    KeyTypeNotAccepted,
    LocalIdentifierNotInCertificate,
    NotFit,
    UsageNotClientAuth,
)
from bulkcert.formats.x509 import parse_certificate
from bulkcert.values.identities import IdentityType
from bulkcert.values.policies import VpnPolicy
from tests.builders import DAY, NOW, a_name, an_ec_key, an_rsa_key
from tests.deployments.profiles.devices import IDENTITY, a_device_certificate, a_key
from tests.formats.pkcs12 import forge
from tests.formats.x509 import forge as odd
from tests.values.policies.policy_documents import a_document, a_tunnel

SECOND = dt.timedelta(seconds=1)


def fit(der: bytes, *local_identifiers: str, now: dt.datetime = NOW) -> Fit:
    texts = local_identifiers or ("{san_dns}",)
    interfaces = ["WiFi", "Cellular"] if len(texts) == 2 else [None]
    tunnels = [
        a_tunnel(local_identifier=text, interface=i) for text, i in zip(texts, interfaces, strict=True)
    ]
    connection_type = "ALWAYS_ON_IKEV2_DUAL" if len(texts) == 2 else "ALWAYS_ON_IKEV2"
    policy = VpnPolicy.from_document(a_document(connection_type, tunnels=tunnels))
    return check_fit(policy, IDENTITY, parse_certificate(der), now)


@pytest.mark.parametrize(
    "usages",
    [
        (ExtendedKeyUsageOID.CLIENT_AUTH,),
        (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,),
        (),
    ],
)
def test_a_certificate_for_clients_fits(usages: tuple[ObjectIdentifier, ...]) -> None:
    fit(a_device_certificate(usages=usages))


def test_a_certificate_for_servers_does_not_fit() -> None:
    with pytest.raises(UsageNotClientAuth):
        fit(a_device_certificate(usages=(ExtendedKeyUsageOID.SERVER_AUTH,)))


@pytest.mark.parametrize("kind", ["RSA", "ECDSA256", "ECDSA384", "ECDSA521"])
def test_the_keys_that_apple_names_fit(kind: str) -> None:
    der = a_device_certificate(a_key(kind))

    assert fit(der).certificate_type == kind


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), a_key("secp256k1")], ids=["Ed25519", "secp256k1"]
)
def test_other_keys_do_not_fit(key: ed25519.Ed25519PrivateKey) -> None:
    with pytest.raises(KeyTypeNotAccepted):
        fit(a_device_certificate(key))


PRINCIPAL = x509.OtherName(ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x0cme@a.example")
SUBJECT = x509.Name(
    [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Device 7"),
    ]
)


@pytest.mark.parametrize(
    ("local_identifier", "names", "subject"),
    [
        ("{san_dns}", [x509.DNSName("a.example")], None),
        ("{san_email}", [x509.DNSName("a.example"), x509.RFC822Name("a@a.example")], None),
        ("{identity}.example", [x509.DNSName("a12bc3d4efgh.example")], a_name("x")),
        ("{identity}@a.example", [x509.RFC822Name("A12BC3D4EFGH@a.example")], a_name("x")),
        ("{identity}", [], None),
        ("{common_name}", [], None),
        ("{common_name}", [x509.DNSName("a.example")], SUBJECT),
        ("CN={common_name},O=Example", [], SUBJECT),
        ("me@a.example", [PRINCIPAL], SUBJECT),
        ("A.EXAMPLE", [x509.DNSName("a.example")], None),
    ],
)
def test_a_local_identifier_that_is_a_name_of_the_certificate_fits(
    local_identifier: str, names: list[x509.GeneralName], subject: x509.Name | None
) -> None:
    fit(a_device_certificate(names=names, subject=subject), local_identifier)


@pytest.mark.parametrize(
    ("local_identifier", "names", "subject", "field"),
    [
        ("{san_dns}", [], None, "{san_dns}"),
        ("{san_dns}", [x509.RFC822Name("a@a.example")], None, "{san_dns}"),
        ("{san_email}", [x509.DNSName("a.example")], None, "{san_email}"),
        ("{common_name}", [x509.DNSName("a.example")], x509.Name([]), "{common_name}"),
    ],
)
def test_a_field_that_the_certificate_lacks_is_named(
    local_identifier: str, names: list[x509.GeneralName], subject: x509.Name | None, field: str
) -> None:
    with pytest.raises(FieldNotInCertificate) as refused:
        fit(a_device_certificate(names=names, subject=subject), local_identifier)

    assert field in refused.value.detail


@pytest.mark.parametrize(
    ("local_identifier", "names"),
    [
        ("someone-else", [x509.DNSName("a.example")]),
        ("{identity}", [x509.DNSName("a.example")]),
        ("x{san_dns}", [x509.DNSName("a.example")]),
        ("{san_email}", [x509.RFC822Name("a\x00b@a.example")]),
        ("A@A.example", [x509.RFC822Name("a@a.example")]),
    ],
)
def test_a_local_identifier_that_is_no_name_of_the_certificate_does_not_fit(
    local_identifier: str, names: list[x509.GeneralName]
) -> None:
    with pytest.raises(LocalIdentifierNotInCertificate):
        fit(a_device_certificate(names=names, subject=a_name("Device 7")), local_identifier)


def test_both_tunnels_of_a_policy_are_looked_at() -> None:
    with pytest.raises(LocalIdentifierNotInCertificate):
        fit(a_device_certificate(), "{san_dns}", "someone-else")


@pytest.mark.parametrize(
    ("now", "refusal"),
    [
        (NOW - DAY - SECOND, CertificateNotYetValid),
        (NOW - DAY, None),
        (NOW + DAY, None),
        (NOW + DAY + SECOND, CertificateHasExpired),
    ],
)
def test_a_certificate_fits_while_it_is_valid(now: dt.datetime, refusal: type[NotFit] | None) -> None:
    der = a_device_certificate(not_before=NOW - DAY, not_after=NOW + DAY)
    if refusal is None:
        fit(der, now=now)
    else:
        with pytest.raises(refusal):
            fit(der, now=now)


def test_every_way_not_to_fit_says_what_to_do() -> None:
    kinds = NotFit.__subclasses__()

    assert len({kind.code for kind in kinds}) == len(kinds) == 7
    assert all(kind.remedy and kind.__doc__ for kind in kinds)
    assert IDENTITY.type is IdentityType.SERIAL_NUMBER


@pytest.mark.parametrize(
    ("kind", "expected"), [("1.2.840.113549.1.1.1", "RSA"), ("1.2.840.113549.1.1.10", "RSA-PSS")]
)
def test_an_rsa_key_for_pss_alone_has_a_type_of_its_own(kind: str, expected: str) -> None:
    numbers = an_rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    info = forge.seq(forge.seq(forge.oid(kind), forge.null()), odd.bits(numbers))

    assert fit(odd.certificate(an_ec_key(), info=info), "{common_name}").certificate_type == expected


def test_the_names_beside_one_that_cannot_be_read_are_used() -> None:
    names = forge.seq(forge.tlv(0x87, b"12345"), forge.tlv(0x82, b"a.example.org"))
    der = odd.certificate(an_ec_key(), odd.extension(odd.SAN, names), odd.extension(odd.EKU, odd.CLIENT_AUTH))

    assert fit(der).local_identifiers == ("a.example.org",)
