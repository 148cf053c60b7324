"""Files with several or odd certificates: the right ones are kept, in any order, and can be released in every form."""

import base64
import itertools
import random
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkcert.errors import KeyMismatch, MalformedCertificate
from bulkcert.formats.pkcs12 import making
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.integrity import check_integrity
from bulkcert.formats.pkcs12.library import open_with_library
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.formats.pkcs12.pfx import read_pfx
from bulkcert.formats.pkcs12.proof import prove
from bulkcert.values.certificates import OpenedCertificate, WarningCode
from bulkcert.values.releases import Encryption
from bulkcert.values.secret import Secret
from tests.builders import DAY, NOW, a_ca, a_certificate, a_name, an_ec_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.specimens import LIMITS, der, der_of
from tests.formats.x509 import forge as odd
from tests.formats.x509.test_facts import build
from tests.live.witnesses import require

KEY = an_ec_key()
CA = der(a_ca()[0])
ISSUED = der(a_certificate(KEY))
OWN = der(
    build(
        key=KEY,
        subject=a_name("A12BC3D4EFGH"),
        issuer=(a_name("A12BC3D4EFGH"), KEY),
        valid=(NOW, NOW + 9000 * DAY),
    )
)
RENEWED = der(a_certificate(KEY, not_before=NOW - DAY))
JUNK = b"\x30\x03\x02\x01\x05"
LOCAL_ID = forge.octets(b"\1\2\3\4")


def attributes(local_id: bytes) -> bytes:
    return forge.tlv(0x31, forge.seq(forge.oid("1.2.840.113549.1.9.21"), forge.tlv(0x31, local_id)))


def a_bag(certificate: bytes, local_id: bytes | None) -> bytes:
    value = forge.seq(forge.oid("1.2.840.113549.1.9.22.1"), forge.explicit(forge.octets(certificate)))
    rest = [] if local_id is None else [attributes(local_id)]
    return forge.seq(forge.oid("1.2.840.113549.1.12.10.1.3"), forge.explicit(value), *rest)


def a_file(*certificates: bytes, named: bytes = b"", key_id: bytes | None = LOCAL_ID, key=KEY) -> bytes:
    """A file whose localKeyID names one of the certificates."""
    rest = [] if key_id is None else [attributes(key_id)]
    key_bag = forge.seq(forge.oid("1.2.840.113549.1.12.10.1.1"), forge.explicit(der_of(key)), *rest)
    bags = [a_bag(each, LOCAL_ID if each == named else None) for each in certificates]
    return forge.pfx(forge.clear_safe(key_bag), forge.encrypted_safe(*bags))


def opened(content: bytes) -> OpenedCertificate:
    return open_pkcs12(content, Secret(forge.PASSWORD.encode()), now=NOW)


def opened_by_the_library(content: bytes) -> OpenedCertificate:
    pfx = read_pfx(content)
    place = check_integrity(pfx, forge.PASSWORD, Budget(LIMITS))
    contents = open_with_library(content, pfx, forge.PASSWORD, place, Budget(LIMITS))
    return prove(contents, LIMITS, NOW)


@pytest.mark.parametrize(
    ("others", "expected", "reason"),
    [
        ([ISSUED, OWN, CA], ISSUED, "a CA issued it"),
        ([ISSUED, RENEWED, CA], RENEWED, "begins last"),
        ([ISSUED, OWN, RENEWED, CA], RENEWED, "begins last"),
    ],
)
def test_the_devices_certificate_is_kept_in_every_order_on_both_ways(others, expected, reason):
    for order in itertools.permutations(others):
        for found in (opened(a_file(*order)), opened_by_the_library(a_file(*order))):
            assert found.leaf.der == expected
            assert [link.der for link in found.chain] == [CA]
            assert found.warnings == (WarningCode.SEVERAL_CERTIFICATES,)
            assert reason in found.remarks[0]


@pytest.mark.parametrize(
    ("named", "expected"), [(ISSUED, ISSUED), (RENEWED, RENEWED), (OWN, RENEWED), (b"", RENEWED)]
)
def test_the_local_key_id_decides_between_issued_ones(named, expected):
    for order in itertools.permutations([ISSUED, RENEWED, OWN, CA]):
        assert opened(a_file(*order, named=named)).leaf.der == expected


@pytest.mark.parametrize("key_id", [None, forge.octets(b"other"), forge.integer(5), b"", forge.octets(b"")])
def test_a_local_key_id_that_is_another_or_none_or_odd_decides_nothing(key_id):
    assert opened(a_file(ISSUED, RENEWED, CA, named=ISSUED, key_id=key_id)).leaf.der == RENEWED


def test_one_certificate_is_no_choice():
    found = opened(a_file(ISSUED, CA))

    assert found.warnings == ()
    assert found.remarks == ()


def test_a_certificate_of_no_use_is_left_out_with_a_warning():
    stranger = der(build(subject=a_name("stranger")))
    found = opened(a_file(ISSUED, stranger, CA))

    assert [link.der for link in found.chain] == [CA]
    assert found.chain_is_complete
    assert found.warnings == (WarningCode.UNRELATED_CERTIFICATE,)


def test_an_expired_ca_is_used_only_where_no_other_is_there():
    ca_key, name = a_ca()[1], a_ca()[0].subject
    expired = der(build(subject=name, issuer=(name, ca_key), key=ca_key, valid=(NOW - 9 * DAY, NOW - DAY)))

    assert opened(a_file(ISSUED, expired, CA)).warnings == ()
    alone = opened(a_file(ISSUED, expired))
    assert [link.der for link in alone.chain] == [expired]
    assert alone.warnings == (WarningCode.CHAIN_NOT_VALID,)


def test_a_ca_certificate_that_cannot_be_read_is_left_out_with_a_warning():
    found = opened(a_file(JUNK, ISSUED, CA))

    assert found.leaf.der == ISSUED
    assert found.chain_is_complete
    assert found.warnings == (WarningCode.UNREADABLE_CERTIFICATE,)


UNDATED = odd.certificate(KEY, not_after=forge.seq())


def test_the_devices_own_certificate_is_refused_by_serial_number_and_field():
    with pytest.raises(MalformedCertificate, match=r"serial number 5 .* its notAfter is not a date"):
        opened(a_file(UNDATED, CA))


def test_a_placeholder_never_stands_in_for_an_issued_certificate_that_cannot_be_read():
    for order in itertools.permutations([UNDATED, OWN, CA]):
        with pytest.raises(MalformedCertificate, match="notAfter"):
            opened(a_file(*order))


def test_an_issued_certificate_is_kept_beside_one_for_its_key_that_cannot_be_read():
    assert opened(a_file(UNDATED, ISSUED, CA)).leaf.der == ISSUED


def test_a_key_without_its_certificate_is_a_mismatch_still():
    with pytest.raises(KeyMismatch):
        opened(a_file(ISSUED, CA, key=an_ec_key()))


@given(st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None, max_examples=25)
def test_the_order_in_the_file_never_changes_the_result(seed: random.Random, is_named: bool) -> None:
    certificates = [ISSUED, RENEWED, OWN, CA, JUNK, der(a_ca("other")[0]), ODD_CA]
    named = ISSUED if is_named else b""
    expected = opened(a_file(*certificates, named=named))
    seed.shuffle(certificates)

    assert opened(a_file(*certificates, named=named)) == expected


ODD_NAME = odd.name((odd.CN, odd.PRINTABLE, b"A&B_* CA"), (odd.ORGANIZATION, odd.TELETEX, b"M\xfcller"))
ODD_CA = odd.certificate(a_ca()[1], subject=ODD_NAME, issuer=ODD_NAME)
ODD = {
    "names": odd.certificate(KEY, subject=odd.name((odd.CN, odd.PRINTABLE, b"A@12"), (odd.MAIL, odd.IA5, b"\xfc@a")), issuer=ODD_NAME),
    "mail": odd.certificate(KEY, odd.extension(odd.SAN, forge.seq(forge.tlv(0x81, b"\xf6@a.example"))), issuer=ODD_NAME),
    "address": odd.certificate(KEY, odd.extension(odd.SAN, forge.seq(forge.tlv(0x87, b"12345"))), issuer=ODD_NAME),
    "critical": odd.certificate(KEY, odd.extension(odd.EKU, odd.CLIENT_AUTH, forge.tlv(0x01, b"\0")), issuer=ODD_NAME),
    "seconds": odd.certificate(KEY, not_before=forge.tlv(odd.UTC, b"2601010000Z"), issuer=ODD_NAME),
    "offset": odd.certificate(KEY, not_before=forge.tlv(odd.UTC, b"260101000000+0100"), issuer=ODD_NAME),
    "fraction": odd.certificate(KEY, not_after=forge.tlv(odd.GENERALIZED, b"20990101000000.5Z"), issuer=ODD_NAME),
    "twice": odd.certificate(KEY, *[odd.extension("2.5.29.15", forge.tlv(0x03, b"\5\xa0"))] * 2, issuer=ODD_NAME),
    "serial": odd.certificate(KEY, serial=forge.tlv(0x02, b"\1" * 40), issuer=ODD_NAME),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_certificate_with_an_odd_chain_is_kept_with_a_warning(kind):
    found = opened(a_file(ODD[kind], ODD_CA))

    assert found.leaf.der == ODD[kind]
    assert [link.der for link in found.chain] == [ODD_CA]
    assert found.chain_is_complete
    assert found.warnings == (WarningCode.NONSTANDARD_CERTIFICATE,)
    assert "is not in the form of RFC 5280" in found.remarks[0]


REFUSED_BY_JAVA = {"twice"}
"""X509CertImpl: "Duplicate extensions not allowed". keytool takes that for a wrong password of the whole file."""


def certificates_in(text: bytes) -> set[bytes]:
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----(.*?)-----END", text, re.DOTALL)
    return {base64.b64decode(b"".join(block.split())) for block in blocks}


def run(*command: str | Path) -> bytes:
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_certificate_is_released_as_pkcs12_that_others_open(
    tmp_path: Path, kind: str, encryption: Encryption
):
    require("openssl")
    require("keytool")
    kept = opened(a_file(ODD[kind], ODD_CA))
    chain = [link.der for link in kept.chain]
    password = Secret(b"correct horse")
    made = making.make_pkcs12(kept.private_key, kept.leaf.der, chain, "A12", password, encryption)
    (tmp_path / "made.p12").write_bytes(made.reveal())
    (tmp_path / "password").write_bytes(password.reveal())

    again = open_pkcs12(made.reveal(), password, now=NOW)
    assert (again.leaf, again.chain, again.private_key) == (kept.leaf, kept.chain, kept.private_key)
    told = run(
        "openssl", "pkcs12", "-legacy", "-in", tmp_path / "made.p12", "-passin", f"file:{tmp_path / 'password'}", "-nodes"
    )  # fmt: skip
    assert certificates_in(told) == {ODD[kind], ODD_CA}
    assert b"PRIVATE KEY" in told
    if kind in REFUSED_BY_JAVA:
        return
    told = run(
        "keytool", "-list", "-rfc", "-keystore", tmp_path / "made.p12", "-storetype", "PKCS12",
        "-storepass:file", tmp_path / "password",
    )  # fmt: skip
    assert b"PrivateKeyEntry" in told
    assert ODD[kind] in certificates_in(told)


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_certificate_is_released_as_pem(kind):
    kept = opened(a_file(ODD[kind], ODD_CA))
    chain = [link.der for link in kept.chain]
    text = making.make_pem(kept.private_key, kept.leaf.der, chain, Secret(b"correct horse")).reveal()

    assert certificates_in(text) == {ODD[kind], ODD_CA}
