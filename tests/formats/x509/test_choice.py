"""Of several certificates for one key, the one that is the device's."""

import itertools

import pytest
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.x509 import Choice, choose_certificate
from bulkcert.values.certificates import Certificate
from tests.builders import DAY, NOW, a_name, an_ec_key
from tests.formats.x509.test_facts import build, parsed

KEY, CA_KEY = an_ec_key(), an_ec_key()
CLIENT = ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def held(
    *, by_itself: bool = False, begins=-DAY, ends=300 * DAY, usage=CLIENT, serial=5, issuer="CA"
) -> Certificate:
    signer = KEY if by_itself else CA_KEY
    return parsed(
        build(
            usage, key=KEY, subject=a_name("device"), serial=serial, valid=(NOW + begins, NOW + ends),
            issuer=(a_name(issuer), signer),
        )
    )  # fmt: skip


ISSUED = held()
CASES = {
    "issued before self-signed": (
        held(by_itself=True, issuer="device", begins=0 * DAY, ends=9000 * DAY),
        "a CA issued it",
    ),
    "issued before signed by its own key under another name": (held(by_itself=True), "a CA issued it"),
    "valid before expired": (held(begins=-9 * DAY, ends=-DAY), "valid now"),
    "valid before not begun": (held(begins=DAY), "valid now"),
    "client authentication": (held(usage=SERVER, begins=0 * DAY), "client authentication"),
    "begun last": (held(begins=-2 * DAY, ends=900 * DAY), "begins last"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_devices_certificate_is_taken_in_either_order_and_the_reason_told(case):
    other, reason = CASES[case]
    for order in ([ISSUED, other], [other, ISSUED]):
        choice = choose_certificate(order, set, NOW)

        assert choice.certificate is ISSUED
        assert choice.reason is not None
        assert reason in choice.reason
        assert choice.reason.startswith(
            "2 certificates in the file belong to its key. The one with the serial"
        )


def test_the_local_key_id_comes_before_the_dates_and_after_the_issuer():
    expired, own = held(begins=-9 * DAY, ends=-DAY), held(by_itself=True)

    assert choose_certificate([ISSUED, expired], lambda: {expired.der}, NOW).certificate is expired
    assert choose_certificate([ISSUED, own], lambda: {own.der}, NOW).certificate is ISSUED


def test_one_certificate_is_no_choice_and_nothing_is_asked():
    def fail() -> set[bytes]:
        raise AssertionError

    assert choose_certificate([ISSUED], fail, NOW) == Choice(ISSUED)


ALL = [ISSUED, *(other for other, _ in CASES.values()), held(serial=6), held(serial=7)]


@given(st.permutations(ALL), st.sets(st.sampled_from(ALL), max_size=3))
def test_the_choice_does_not_depend_on_the_order(order, named):
    ders = {each.der for each in named}

    assert choose_certificate(order, lambda: ders, NOW) == choose_certificate(ALL, lambda: ders, NOW)


def test_two_alike_are_told_apart_by_their_fingerprints():
    alike = [held(serial=number) for number in (5, 6, 7)]
    smallest = min(alike, key=lambda each: each.facts.fingerprint_sha256)

    for order in itertools.permutations(alike):
        choice = choose_certificate(order, set, NOW)
        assert choice.certificate is smallest
        assert choice.reason is not None
        assert "3 certificates" in choice.reason
