"""Our own reader: the same as the library where that reads, and as much as can be read where it does not."""

import datetime as dt
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkcert.errors import MalformedCertificate
from bulkcert.formats.x509 import (
    allows_client_auth,
    alternative_names,
    has_pss_key,
    is_issued_for,
    list_oddities,
    parse_certificate,
)
from bulkcert.formats.x509.facts import read, read_by_ourselves
from bulkcert.values.certificates import KeyType
from tests.builders import DAY, NOW, a_ca, a_name, an_ec_key, an_rsa_key
from tests.formats.pkcs12.forge import endless, integer, null, octets, oid, seq, tlv
from tests.formats.x509 import forge
from tests.formats.x509.test_facts import vector_certificates

KEY = an_ec_key()
HOST = tlv(0x82, b"a.example.org")


def test_both_readers_agree_on_every_certificate_that_the_library_reads():
    compared = 0
    for der in vector_certificates():
        with warnings.catch_warnings(action="ignore"):
            try:
                certificate = x509.load_der_x509_certificate(der)
                _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key()
                by_the_library = read(der)
            except Exception:
                continue
        if by_the_library.oddities:
            continue
        compared += 1
        by_ourselves = read_by_ourselves(der)
        assert by_ourselves.certificate == by_the_library.certificate
        assert by_ourselves.extensions.alternative_names == by_the_library.extensions.alternative_names
        assert by_ourselves.extensions.allows_client_auth == by_the_library.extensions.allows_client_auth
        assert by_ourselves.extensions.is_ca == by_the_library.extensions.is_ca
        assert by_ourselves.extensions.own_key == by_the_library.extensions.own_key
        assert by_ourselves.extensions.issuer_key == by_the_library.extensions.issuer_key
        assert by_ourselves.has_pss_key == by_the_library.has_pss_key

    assert compared > 300


@pytest.mark.parametrize(
    ("tag", "content", "expected", "is_odd"),
    [
        (forge.UTF8, "Müller".encode(), "Müller", False),
        (forge.UTF8, b"M\xfcller", "Müller", True),
        (forge.PRINTABLE, b"A&B_*@ Co", "A&B_*@ Co", True),
        (forge.PRINTABLE, b"plain", "plain", False),
        (forge.TELETEX, b"M\xfcller AG", "Müller AG", True),
        (forge.IA5, b"m\xfcller", "müller", True),
        (forge.NUMERIC, b"12", "12", False),
        (forge.VISIBLE, b"seen", "seen", False),
        (forge.BMP, "Grüße €".encode("utf-16-be"), "Grüße €", False),
        (forge.BMP, b"\x00A\xd8\x00", "A�", True),
        (forge.BMP, b"\x00A\x00", "A", True),
        (forge.UNIVERSAL, "A\U0001f511".encode("utf-32-be"), "A\U0001f511", False),
        (0x02, b"\x05", "#020105", True),
    ],
)
def test_a_name_of_any_string_type_is_read_and_shown(tag, content, expected, is_odd):
    certificate = parse_certificate(
        forge.certificate(
            KEY, subject=forge.name((forge.CN, forge.UTF8, b"x"), (forge.ORGANIZATION, tag, content))
        )
    )

    assert certificate.facts.subject.organization == expected
    assert certificate.facts.subject.common_name == "x"
    assert ("subject" in list_oddities(certificate)) is is_odd


@given(
    st.lists(
        st.tuples(
            st.sampled_from([forge.CN, forge.ORGANIZATION, forge.MAIL, "1.2.3.4"]),
            st.sampled_from([
                forge.UTF8, forge.NUMERIC, forge.PRINTABLE, forge.TELETEX, forge.IA5, forge.VISIBLE, forge.BMP,
                forge.UNIVERSAL, 0x01, 0x02, 0x03, 0x04, 0x30,
            ]),
            st.binary(max_size=40),
        ),
        max_size=4,
    )
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_a_name_of_any_type_and_bytes_is_kept(attributes):
    der = forge.certificate(KEY, subject=forge.name(*attributes))
    certificate = parse_certificate(der)

    assert certificate.der == der
    certificate.facts.subject.text.encode()  # raises on half of a surrogate pair, which no column holds
    assert "\0" not in certificate.facts.subject.text
    assert is_issued_for(certificate, KEY.public_key())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [forge.SAN, forge.AKI, forge.SKI, "2.5.29.31", "1.3.6.1.5.5.7.1.1", "2.5.29.32", "1.2.3"]
            ),
            st.binary(max_size=60),
        ),
        max_size=4,
    )
)
@settings(deadline=None, max_examples=200)
def test_an_extension_of_any_content_loses_only_itself(others):
    odd = [forge.extension(dotted, value) for dotted, value in others]
    der = forge.certificate(KEY, forge.extension(forge.EKU, forge.CLIENT_AUTH), *odd)
    certificate = parse_certificate(der)

    assert allows_client_auth(certificate)
    assert certificate.facts.subject.text == "CN=A12BC3D4EFGH"


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=200)
def test_usages_of_any_content_never_hide_the_names(value):
    der = forge.certificate(KEY, forge.extension(forge.EKU, value), forge.extension(forge.SAN, seq(HOST)))

    assert [each.text for each in alternative_names(parse_certificate(der))] == ["a.example.org"]


@pytest.mark.parametrize(
    ("general_name", "expected"),
    [
        (tlv(0x81, b"j\xf6rg@example.org"), ["jörg@example.org"]),
        (tlv(0x87, b"\x0a\0\0\1\0"), []),
        (tlv(0x87, b"\xc0\0\2\1"), ["192.0.2.1"]),
        (tlv(0x88, b"\x2a\x03"), ["1.2.3"]),
        (tlv(0x88, b"\x80"), []),
        (tlv(0xA3, seq()), []),
        (tlv(0xA5, seq()), []),
        (tlv(0xA4, forge.name((forge.CN, forge.PRINTABLE, b"a@b"))), ["CN=a@b"]),
        (tlv(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, tlv(0x0C, b"a@b.c"))), ["a@b.c"]),
        (tlv(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0x0C, b"a@b.c")), ["a@b.c"]),
        (tlv(0x86, b"\xff"), ["ÿ"]),
    ],
)
def test_of_alternative_names_those_that_can_be_read_are_read(general_name, expected):
    der = forge.certificate(KEY, forge.extension(forge.SAN, seq(general_name, HOST)))

    assert [each.text for each in alternative_names(parse_certificate(der))] == [*expected, "a.example.org"]


@pytest.mark.parametrize("broken", [null(), seq(), seq(oid("1.2.3")), seq(null(), octets(b"")), octets(b"x")])
def test_an_extension_without_form_loses_only_itself(broken):
    names, usage = forge.extension(forge.SAN, seq(HOST)), forge.extension(forge.EKU, forge.CLIENT_AUTH)
    certificate = parse_certificate(forge.certificate(KEY, names, broken, usage))

    assert certificate.facts.subject_alternative_names == ("a.example.org",)
    assert allows_client_auth(certificate)
    assert list_oddities(certificate) == ("extensions",)
    # It may have been the extended key usage: without another one, nothing shows what is allowed.
    assert not allows_client_auth(parse_certificate(forge.certificate(KEY, names, broken)))


def test_an_extension_that_stands_there_twice_counts_with_all_it_says():
    der = forge.certificate(
        KEY,
        forge.extension(forge.SAN, seq(HOST)),
        forge.extension(forge.EKU, forge.SERVER_AUTH),
        forge.extension(forge.SAN, seq(HOST, tlv(0x82, b"b.example.org"))),
        forge.extension(forge.EKU, forge.CLIENT_AUTH),
    )
    certificate = parse_certificate(der)

    assert certificate.facts.subject_alternative_names == ("a.example.org", "b.example.org")
    assert allows_client_auth(certificate)
    assert list_oddities(certificate) == ("an extension that stands there twice",)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (tlv(forge.UTC, b"2601010000Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.UTC, b"260101020000+0200"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.UTC, b"2512312200-0200"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.UTC, b"500101000000+0000"), dt.datetime(1950, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"20260101000000.123Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"20260101000000,5Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"202601010000Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"20260101010000+0100"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.UTC, b"2601010100+01"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"2026010100Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"2026010112.5Z"), dt.datetime(2026, 1, 1, 12, 30, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"202601011200,25Z"), dt.datetime(2026, 1, 1, 12, 0, 15, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"2026010112+01"), dt.datetime(2026, 1, 1, 11, tzinfo=dt.UTC)),
        (tlv(forge.GENERALIZED, b"20251231240000.0Z"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    ],
)
def test_a_date_whose_moment_is_clear_is_read(written, expected):
    certificate = parse_certificate(forge.certificate(KEY, not_before=written))

    assert certificate.facts.not_before == expected
    assert list_oddities(certificate) == ("notBefore",)


@pytest.mark.parametrize(
    "written",
    [
        tlv(forge.UTC, b"260101000000"),
        tlv(forge.GENERALIZED, b"20260101000000"),
        tlv(forge.GENERALIZED, b"2026010100"),
        tlv(forge.GENERALIZED, b"20260101Z"),
        tlv(forge.GENERALIZED, b"20260101120000+1"),
        tlv(forge.GENERALIZED, b"20260101120000+0160"),
        tlv(forge.GENERALIZED, b"20260101120000+2400"),
        tlv(forge.GENERALIZED, b"20260101120060Z"),
        tlv(forge.GENERALIZED, b"202601011260Z"),
        tlv(forge.GENERALIZED, b"20260101240001Z"),
        tlv(forge.GENERALIZED, b"2026010125Z"),
        tlv(forge.UTC, b"260101120000.5Z"),
        tlv(forge.UTC, b"26010112Z"),
        tlv(forge.UTC, b"261301000000Z"),
        tlv(forge.UTC, b"260230000000Z"),
        tlv(forge.GENERALIZED, b"00000101000000Z"),
        tlv(forge.GENERALIZED, b"00010101000000+2300"),
        tlv(forge.UTC, b""),
        tlv(forge.UTF8, b"260101000000Z"),
        seq(),
    ],
)
def test_a_date_whose_moment_is_not_clear_is_refused_by_its_name(written):
    with pytest.raises(MalformedCertificate, match=r"serial number 5 .* its notAfter is not a date"):
        parse_certificate(forge.certificate(KEY, not_after=written))


@st.composite
def moments_in_any_form(draw) -> tuple[dt.datetime, bytes]:
    """A moment, and one of the ways in which X.680 §46 lets a GeneralizedTime say it."""
    unit, form = draw(st.sampled_from([(1, "%Y%m%d%H%M%S"), (60, "%Y%m%d%H%M"), (3600, "%Y%m%d%H")]))
    span = st.integers(-600_000_000 // unit, 6_000_000_000 // unit)  # 1951 to 2160
    local = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=unit * draw(span))
    digits = draw(st.text("0123456789", max_size=9))
    point = draw(st.sampled_from(".,")) if digits else ""
    seconds = int(digits or 0) * unit // 10 ** len(digits)
    sign = draw(st.sampled_from("Z+-"))
    hours, minutes = (0, 0) if sign == "Z" else draw(st.tuples(st.integers(0, 23), st.integers(0, 59)))
    offset = (
        "" if sign == "Z" else f"{hours:02}" + (f"{minutes:02}" if minutes or draw(st.booleans()) else "")
    )
    ahead = dt.timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
    return local + dt.timedelta(
        seconds=seconds
    ) - ahead, f"{local:{form}}{point}{digits}{sign}{offset}".encode()


@given(moments_in_any_form())
@settings(deadline=None, max_examples=200)
def test_a_moment_in_any_form_of_x680_is_read_as_that_moment(pair):
    moment, written = pair
    found = parse_certificate(forge.certificate(KEY, not_before=tlv(forge.GENERALIZED, written)))

    assert found.facts.not_before == moment


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"version": tlv(0xA0, integer(3))}, "version is not 1, 2 or 3"),
        ({"version": tlv(0xA0, integer(-1))}, "version is not 1, 2 or 3"),
        ({"version": tlv(0xA0, octets(b"x"))}, "version is not in a form"),
        ({"subject": octets(b"x")}, "subject is not in a form"),
    ],
)
def test_an_unreadable_certificate_is_named_by_its_serial_number_and_the_field(fault, field):
    with pytest.raises(MalformedCertificate, match=rf"with the serial number 5 is .* its {field}"):
        parse_certificate(forge.certificate(KEY, **fault))


@pytest.mark.parametrize("serial", [octets(b"x"), tlv(0x02), b""])
def test_a_certificate_without_a_serial_number_is_named_by_its_fingerprint(serial):
    with pytest.raises(MalformedCertificate, match=r"with the SHA-256 fingerprint [0-9a-f]{64} is .* its "):
        parse_certificate(forge.certificate(KEY, serial=serial))


@given(
    st.sampled_from([forge.UTC, forge.GENERALIZED]),
    st.binary(max_size=24) | st.from_regex(rb"[0-9.,Z+-]{0,24}"),
)
@settings(deadline=None, max_examples=200)
def test_a_date_of_any_bytes_is_read_or_named(tag, content):
    try:
        found = parse_certificate(forge.certificate(KEY, not_before=tlv(tag, content)))
    except MalformedCertificate as refusal:
        assert "notBefore" in refusal.detail
    else:
        assert found.facts.not_before.tzinfo is dt.UTC


FALSE = tlv(0x01, b"\0")


@pytest.mark.parametrize(
    "der",
    [
        forge.certificate(KEY, forge.extension(forge.SAN, seq(HOST), critical=FALSE)),
        forge.certificate(KEY, version=tlv(0xA0, integer(0))),
        forge.certificate(KEY, serial=tlv(0x02, b"\0\0\5")),
        forge.certificate(KEY, serial=tlv(0x02, b"\x01" * 40)),
        forge.certificate(KEY, forge.extension("2.5.29.19", seq(FALSE))),
        forge.certificate(KEY, rest=[tlv(0x81, b"\0\1")]),
        endless(0x30, forge.certificate(KEY)[4:]),
    ],
    ids=["critical FALSE", "v1", "leading zeros", "40 octets", "cA FALSE", "unique id", "indefinite length"],
)  # fmt: skip
def test_what_is_written_out_or_not_in_der_is_read(der):
    certificate = parse_certificate(der)

    assert certificate.der == der
    assert certificate.facts.subject.common_name == "A12BC3D4EFGH"
    assert is_issued_for(certificate, KEY.public_key())


@pytest.mark.parametrize(
    ("der", "field"),
    [
        (forge.certificate(KEY, version=tlv(0xA0, integer(3))), "version"),
        (forge.certificate(KEY, serial=tlv(0x02)), "serialNumber"),
        (forge.certificate(KEY, serial=tlv(0x02, b"\1" * 2000)), "serialNumber"),
        (forge.certificate(KEY, subject=octets(b"x")), "subject"),
        (forge.certificate(KEY, issuer=seq(seq())), "issuer"),
        (forge.certificate(KEY, info=seq(null())), "subjectPublicKeyInfo"),
        (forge.certificate(KEY) + b"\1", "encoding"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(der, field):
    with pytest.raises(MalformedCertificate, match=f"its {field} "):
        parse_certificate(der)


def rsa_info(algorithm: bytes) -> bytes:
    numbers = an_rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return seq(algorithm, forge.bits(numbers))


@pytest.mark.parametrize(
    ("algorithm", "is_pss"),
    [
        (seq(oid("1.2.840.113549.1.1.1"), null()), False),
        (seq(oid("1.2.840.113549.1.1.1")), False),
        (seq(oid("1.2.840.113549.1.1.1"), integer(5)), False),
        (seq(oid("1.2.840.113549.1.1.10")), True),
        (seq(oid("1.2.840.113549.1.1.10"), seq()), True),
        (seq(oid("1.2.840.113549.1.1.10"), integer(5)), True),
    ],
)
def test_an_rsa_key_under_any_parameters_is_the_same_key(algorithm, is_pss):
    certificate = parse_certificate(forge.certificate(KEY, info=rsa_info(algorithm)))

    assert certificate.facts.key_type is KeyType.RSA
    assert is_issued_for(certificate, an_rsa_key().public_key())
    assert has_pss_key(certificate) is is_pss
    assert certificate.facts.public_key_sha256 == (
        parse_certificate(forge.certificate(KEY, info=rsa_info(seq(oid("1.2.840.113549.1.1.1"), null()))))
        .facts.public_key_sha256
    )  # fmt: skip


def test_a_certificate_signed_with_pss_is_read():
    builder = (
        x509.CertificateBuilder()
        .subject_name(a_name("x"))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")]))
        .public_key(KEY.public_key())
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
    )
    key = an_rsa_key()
    assert isinstance(key, rsa.RSAPrivateKey)
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    der = builder.sign(key, hashes.SHA256(), rsa_padding=scheme).public_bytes(Encoding.DER)

    assert parse_certificate(der).facts.signature_algorithm == "RSASSA_PSS"
    assert read_by_ourselves(der).certificate == parse_certificate(der)
    assert not has_pss_key(parse_certificate(der))


def test_the_test_ca_has_the_name_that_is_forged():
    assert a_ca()[0].subject.public_bytes() == forge.CA_NAME
