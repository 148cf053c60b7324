"""What opens, what is refused, and by which name."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import ItemRefusal, MalformedPkcs12, TooCostly
from bulkcert.formats.asn1.ber import MOST_TRAILING
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.ciphers import encode
from bulkcert.formats.pkcs12.decoding import decode
from bulkcert.formats.pkcs12.integrity import check_integrity
from bulkcert.formats.pkcs12.library import open_with_library
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.formats.pkcs12.pfx import DEEPEST_SAFES, read_pfx
from bulkcert.formats.pkcs12.visible import count_visible
from bulkcert.values.certificates import WarningCode
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import DAY, NOW, a_ca, a_certificate, a_pkcs12, an_ec_key, an_rsa_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.forge import certificate_bag, clear_safe, encrypted_safe, key_bag, pfx, shrouded_bag
from tests.formats.pkcs12.specimens import (
    Specimen,
    a_pair,
    der,
    der_of,
    forged,
    open_by_the_library,
    specimens,
)

KEY, CERTIFICATE = a_pair()
ENDLESS = forge.endless(0x30, forged()[4:])
"""The same file with an indefinite length, whose end shows by its last octets alone."""


def opened(content: bytes, password: str = forge.PASSWORD, **limits: int):
    return open_pkcs12(content, Secret(password.encode()), Limits(**limits))


def refusal_of(content: bytes, password: str = forge.PASSWORD, **limits: int) -> ItemRefusal:
    with pytest.raises(ItemRefusal) as caught:
        opened(content, password, **limits)
    assert len(password) < 4 or password not in caught.value.detail
    return caught.value


@pytest.mark.parametrize("specimen", specimens(), ids=repr)
def test_a_file_opens_to_the_same_here_and_by_the_library(specimen: Specimen):
    ours = opened(specimen.content, specimen.password)
    theirs = open_by_the_library(specimen.content, specimen.password)

    assert (ours.opened_by, theirs.opened_by) == ("own", "library")
    assert vars(ours) | {"opened_by": ""} == vars(theirs) | {"opened_by": ""}


@pytest.mark.parametrize("specimen", specimens(), ids=repr)
def test_no_file_opens_with_a_password_that_is_almost_right(specimen: Specimen):
    for wrong in (specimen.password + " ", specimen.password[:-1], specimen.password.swapcase(), ""):
        assert refusal_of(specimen.content, wrong).code == "wrong_password"


def junk_in_place_of_a_key() -> bytes:
    return forged(
        key=forge.seq(forge.integer(0), forge.seq(forge.oid("1.2.840.10045.2.1")), forge.octets(b"junk"))
    )


def of_key(key) -> bytes:
    return forged(key=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def nested(levels: int, *bags: bytes) -> bytes:
    """A bag of safes in safes (RFC 7292 §4.2.6), so many levels deep."""
    found = forge.seq(*bags)
    for _ in range(levels - 1):
        found = forge.seq(forge.bag("1.2.840.113549.1.12.10.1.6", found))
    return forge.bag("1.2.840.113549.1.12.10.1.6", found)


OTHER_KEY = der_of(an_ec_key())
REFUSED = {
    "nothing": (b"", "not_pkcs12"),
    "text": (b"-----BEGIN CERTIFICATE-----\n", "not_pkcs12"),
    "a zip": (b"PK\3\4" + bytes(100), "not_pkcs12"),
    "a certificate alone": (CERTIFICATE, "not_pkcs12"),
    "a key alone": (KEY, "not_pkcs12"),
    "version 1": (forged().replace(b"\2\1\3", b"\2\1\1", 1), "malformed_pkcs12"),
    "no MAC": (pfx(clear_safe(key_bag(KEY)), clear_safe(certificate_bag(CERTIFICATE)), mac_data=b""), "malformed_pkcs12"),
    "too much behind it": (forged() + b"\1" * (MOST_TRAILING + 1), "malformed_pkcs12"),
    "safes in safes, too deep": (
        pfx(clear_safe(nested(DEEPEST_SAFES + 1, key_bag(KEY))), clear_safe(certificate_bag(CERTIFICATE))),
        "malformed_pkcs12",
    ),
    "two keys, one in a safe in a safe": (
        pfx(clear_safe(key_bag(KEY), nested(1, key_bag(OTHER_KEY)), certificate_bag(CERTIFICATE))),
        "several_private_keys",
    ),
    "signed instead of a MAC": (forged().replace(b"\7\1\xa0", b"\7\2\xa0", 1), "unsupported_algorithm"),
    "nothing in it": (pfx(), "no_private_key"),
    "empty safes": (pfx(clear_safe(), encrypted_safe()), "no_private_key"),
    "no key": (pfx(clear_safe(certificate_bag(CERTIFICATE))), "no_private_key"),
    "no certificate": (pfx(clear_safe(key_bag(KEY))), "no_certificate"),
    "two keys": (
        pfx(clear_safe(key_bag(KEY), key_bag(OTHER_KEY)), clear_safe(certificate_bag(CERTIFICATE))),
        "several_private_keys",
    ),
    "two keys, one hidden": (
        pfx(clear_safe(key_bag(KEY), certificate_bag(CERTIFICATE)), encrypted_safe(shrouded_bag(OTHER_KEY))),
        "several_private_keys",
    ),
    "the key of another": (forged(key=OTHER_KEY), "key_mismatch"),
    "the CA's certificate only": (forged(certificate=der(a_ca()[0])), "key_mismatch"),
    "no certificate but junk": (forged(certificate=b"junk"), "malformed_certificate"),
    "a certificate cut short": (forged(certificate=CERTIFICATE[:-1]), "malformed_certificate"),
    "junk in place of a key": (junk_in_place_of_a_key(), "malformed_pkcs12"),
    "RSA-1024": (of_key(an_rsa_key(1024)), "weak_key"),
    "P-256K": (of_key(ec.generate_private_key(ec.SECP256K1())), "unsupported_algorithm"),
    "P-224": (of_key(ec.generate_private_key(ec.SECP224R1())), "unsupported_algorithm"),
    "Ed448": (of_key(ed448.Ed448PrivateKey.generate()), "unsupported_algorithm"),
    "X25519": (of_key(x25519.X25519PrivateKey.generate()), "unsupported_algorithm"),
    "an unknown scheme": (
        pfx(encrypted_safe(scheme=forge.pbes1("1.2.3.4"))),
        "unsupported_algorithm",
    ),
    "an unknown derivation": (
        pfx(encrypted_safe(scheme=forge.pbes2(forge.seq(forge.oid("1.2.3.4"), forge.seq())))),
        "unsupported_algorithm",
    ),
    "an unknown cipher": (
        pfx(encrypted_safe(scheme=forge.pbes2(cipher=forge.seq(forge.oid("1.2.3.4"), forge.octets(forge.IV))))),
        "unsupported_algorithm",
    ),
    "an unknown digest": (
        pfx(clear_safe(), mac_data=forge.mac_claim(algorithm=forge.seq(forge.oid("1.2.3.4")))),
        "unsupported_algorithm",
    ),
    "encrypted with another password": (
        pfx(encrypted_safe(key_bag(KEY), certificate_bag(CERTIFICATE), password="another")),
        "wrong_password",
    ),
    "a key encrypted with another password": (
        pfx(clear_safe(shrouded_bag(KEY, password="another"), certificate_bag(CERTIFICATE))),
        "wrong_password",
    ),
    "a wrong MAC": (pfx(clear_safe(key_bag(KEY)), mac_data=forge.mac_claim()), "wrong_password"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code"), REFUSED.values(), ids=REFUSED)
def test_a_file_is_refused_by_the_name_of_its_fault(content, code):
    assert refusal_of(content).code == code


@pytest.mark.parametrize("length", range(2, len(forged()), 17))
def test_a_file_cut_short_is_malformed(length):
    assert refusal_of(forged()[:length]).code == "malformed_pkcs12"


def test_a_file_without_a_mac_says_what_to_do():
    content = pfx(clear_safe(key_bag(KEY)), mac_data=b"")

    assert "no integrity check" in refusal_of(content).detail
    assert "-nomac" in refusal_of(content).detail


def test_where_it_is_allowed_a_file_without_a_mac_opens_with_the_password_of_its_parts():
    content = pfx(clear_safe(shrouded_bag(KEY)), clear_safe(certificate_bag(CERTIFICATE)), mac_data=b"")

    assert opened(content, allow_without_mac=True).opened_by == "own"
    for wrong in ("wrong", "", "wröng", *(str(number) for number in range(600))):
        assert refusal_of(content, wrong, allow_without_mac=True).code == "wrong_password"


@pytest.mark.parametrize("password", [b"a\0b", b"\0", b"\xff\xfe", b"pa\xe4"])
def test_a_password_that_cannot_be_one_is_refused_before_anybody_sees_it(password, capfd):
    with pytest.raises(ItemRefusal) as caught:
        open_pkcs12(forged(), Secret(password))

    assert caught.value.code == "invalid_password"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "limits", "code"),
    [
        pytest.param(forged(), {"pkcs12_bytes": 500}, "too_large", id="the file"),
        pytest.param(
            pfx(clear_safe(key_bag(KEY), *[certificate_bag(CERTIFICATE)] * 21)), {}, "too_large", id="21 certificates"
        ),
        pytest.param(
            pfx(encrypted_safe(*[certificate_bag(CERTIFICATE)] * 21)), {}, "too_large", id="21 hidden certificates"
        ),
        pytest.param(pfx(*[clear_safe()] * 41), {}, "too_costly", id="41 safes"),
        pytest.param(
            pfx(encrypted_safe(scheme=forge.pbes2(forge.pbkdf2(salt=bytes(1025))))), {}, "too_costly", id="a long salt"
        ),
        pytest.param(
            pfx(clear_safe(), mac_data=forge.mac_claim(salt=bytes(1025))), {}, "too_costly", id="a long salt in the MAC"
        ),
        pytest.param(
            pfx(encrypted_safe(scheme=forge.pbes2(forge.scrypt(2**17, 8, 1)))), {}, "too_costly", id="scrypt"
        ),
        pytest.param(
            pfx(encrypted_safe(scheme=forge.pbes2(forge.scrypt(2**14, 8, 2)))), {}, "too_costly", id="scrypt twice as long"
        ),
        pytest.param(
            pfx(*[encrypted_safe(scheme=forge.pbes2(forge.scrypt(2**14, 8, 1)))] * 9), {}, "too_costly", id="scrypt nine times"
        ),
    ],
)  # fmt: skip
def test_more_than_a_limit_is_refused(content, limits, code):
    assert refusal_of(content, **limits).code == code


@pytest.mark.parametrize(
    ("content", "iterations"),
    [
        pytest.param(pfx(clear_safe(), mac_data=forge.mac_claim(iterations=1000)), 1000, id="MAC"),
        pytest.param(pfx(encrypted_safe(scheme=forge.pbes2(forge.pbkdf2(1000)))), 1001, id="PBKDF2"),
        pytest.param(pfx(encrypted_safe(scheme=forge.pbes1(iterations=1000))), 1001, id="3DES, once"),
        pytest.param(
            pfx(encrypted_safe(scheme=forge.pbes1("1.2.840.113549.1.12.1.6", 1000))), 1001, id="RC2, once"
        ),
        pytest.param(
            pfx(encrypted_safe(shrouded_bag(KEY, forge.pbes2(forge.pbkdf2(1000))))), 1002, id="a hidden key"
        ),
        pytest.param(
            pfx(*[encrypted_safe(scheme=forge.pbes2(forge.pbkdf2(500)))] * 2), 1001, id="two safes"
        ),
        pytest.param(
            pfx(clear_safe(), mac_data=forge.mac_claim(algorithm=forge.pbmac1(forge.pbkdf2(1000, key_size=32)))),
            1000,
            id="PBMAC1",
        ),
        pytest.param(
            pfx(clear_safe(), mac_data=forge.mac_claim(algorithm=forge.pbmac1(forge.pbkdf2(1000, key_size=1024)))),
            16_000,
            id="PBMAC1 with a key of many blocks",
        ),
    ],
)  # fmt: skip
def test_every_iteration_is_counted_once_before_it_is_made(content, iterations):
    assert refusal_of(content, kdf_iterations=iterations - 1).code == "too_costly"
    assert refusal_of(content, kdf_iterations=iterations).code != "too_costly"


@pytest.mark.parametrize("iterations", [0, -1, -(2**63)])
def test_a_count_of_iterations_that_is_not_positive_is_malformed(iterations):
    assert (
        refusal_of(pfx(clear_safe(), mac_data=forge.mac_claim(iterations=iterations))).code
        == "malformed_pkcs12"
    )
    scheme = forge.pbes2(forge.pbkdf2(iterations))
    assert refusal_of(pfx(encrypted_safe(scheme=scheme))).code == "malformed_pkcs12"


@pytest.mark.parametrize("iterations", [2**31 - 1, 2**31, 2**63, 2**200])
def test_a_count_of_iterations_without_bounds_is_too_costly(iterations):
    assert refusal_of(pfx(clear_safe(), mac_data=forge.mac_claim(iterations=iterations))).code == "too_costly"


def test_the_leaf_is_found_by_its_key_and_the_chain_is_put_in_order():
    root = a_ca()
    middle_key = an_ec_key()
    middle = an_issuer("Middle", middle_key, root)
    key = an_ec_key()
    leaf = a_certificate(key, issuer=(middle, middle_key))
    stranger = a_certificate(an_ec_key(), "stranger")
    bags = [certificate_bag(der(each)) for each in (root[0], stranger, middle, leaf)]

    found = opened(pfx(clear_safe(*bags), clear_safe(key_bag(der_of(key)))))

    assert found.leaf.der == der(leaf)
    assert [certificate.der for certificate in found.chain] == [der(middle), der(root[0])]
    assert found.chain_is_complete


def an_issuer(name: str, key: ec.EllipticCurvePrivateKey, issuer) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .sign(issuer[1], hashes.SHA256())
    )


def test_of_two_certificates_on_one_key_the_one_that_begins_last_is_meant():
    key = an_ec_key()
    old, new = (a_certificate(key, not_before=NOW - days * DAY) for days in (30, 10))
    for order in ((old, new), (new, old)):
        bags = [certificate_bag(der(each)) for each in order]

        assert opened(pfx(clear_safe(key_bag(der_of(key)), *bags))).leaf.der == der(new)


def test_the_same_key_written_twice_is_one():
    content = pfx(clear_safe(key_bag(KEY), shrouded_bag(KEY), certificate_bag(CERTIFICATE)))

    assert opened(content).private_key == Secret(KEY)


def test_a_certificate_of_another_kind_is_left_out():
    sdsi = forge.bag(
        "1.2.840.113549.1.12.10.1.3",
        forge.seq(forge.oid("1.2.840.113549.1.9.22.2"), forge.explicit(forge.octets(b"x"))),
    )

    assert opened(pfx(clear_safe(key_bag(KEY), sdsi, certificate_bag(CERTIFICATE)))).leaf.der == CERTIFICATE


@pytest.mark.parametrize(
    "trailing",
    [b"\n", b"\r\n", b"\x1a", b"\xff" * 16, b"\1" * MOST_TRAILING, bytes(100), bytes(10_000), forged()[:1000]],
    ids=["LF", "CR LF", "Ctrl-Z", "0xFF", "1 KiB", "zeros", "more zeros", "another file"],
)  # fmt: skip
@pytest.mark.parametrize("content", [forged(), a_pkcs12(password=forge.PASSWORD)], ids=["forged", "ordinary"])
def test_what_follows_the_file_is_left_out_with_a_warning(content, trailing):
    found = opened(content + trailing)

    assert found.warnings == (WarningCode.TRAILING_BYTES,)
    assert replace(found, warnings=()) == opened(content)


@given(st.binary(min_size=1, max_size=MOST_TRAILING))
def test_whatever_follows_the_file_changes_nothing(trailing):
    assert replace(opened(ENDLESS + trailing), warnings=()) == opened(ENDLESS)
    assert replace(opened(forged() + trailing), warnings=()) == opened(forged())


@pytest.mark.parametrize("levels", [1, 2, 5, DEEPEST_SAFES])
def test_a_safe_in_a_safe_opens(levels):
    whole = nested(levels, key_bag(KEY), certificate_bag(CERTIFICATE))
    for content in (
        pfx(clear_safe(whole)),
        pfx(encrypted_safe(whole)),
        pfx(clear_safe(nested(levels, shrouded_bag(KEY))), encrypted_safe(nested(levels, certificate_bag(CERTIFICATE)))),
    ):  # fmt: skip
        found = opened(content)

        assert (found.private_key, found.leaf.der) == (Secret(KEY), CERTIFICATE)


def test_costs_in_safes_inside_safes_are_counted():
    hidden = shrouded_bag(KEY, forge.pbes2(forge.pbkdf2(1000)))

    for content in (pfx(clear_safe(nested(3, hidden))), pfx(encrypted_safe(nested(3, hidden)))):
        assert refusal_of(content, kdf_iterations=1000).code == "too_costly"
        assert refusal_of(content, kdf_iterations=1002).code != "too_costly"
    many = nested(2, *[certificate_bag(CERTIFICATE)] * 21)
    assert refusal_of(pfx(clear_safe(many))).code == "too_large"
    assert refusal_of(pfx(encrypted_safe(many))).code == "too_large"


def test_forty_safes_open():
    safes = [clear_safe(key_bag(KEY)), encrypted_safe(certificate_bag(CERTIFICATE)), *[clear_safe()] * 38]

    assert opened(pfx(*safes)).leaf.der == CERTIFICATE


@pytest.mark.parametrize("password", [forge.PASSWORD, "pässwörd"])
@pytest.mark.parametrize("rare", [False, True], ids=["own", "library"])
def test_a_file_within_the_iterations_that_are_documented_opens_whatever_they_are_spent_on(password, rare):
    """3DES three times over, in every encoding of the password, and by the library once more."""
    iterations = 2048  # the library writes as many in the MAC whatever it is told
    key, encryption = an_ec_key(), PrivateFormat.PKCS12.encryption_builder()
    encryption = encryption.kdf_rounds(iterations).hmac_hash(hashes.SHA1())
    encryption = encryption.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
    content = pkcs12.serialize_key_and_certificates(
        None, key, a_certificate(key), None, encryption.build(password.encode())
    )
    if rare:
        budget = Budget(Limits(kdf_iterations=3 * iterations))
        pieces = read_pfx(content)
        count_visible(pieces, budget)
        place = check_integrity(pieces, password, budget)
        decode(pieces, encode(password, place), budget)
        open_with_library(content, pieces, password, place, budget)
    else:
        assert opened(content, password, kdf_iterations=3 * iterations).opened_by == "own"


@pytest.mark.parametrize("number", [2, 8])
def test_scrypt_within_the_limits_of_derivation_and_file_is_counted_so(number):
    safe = encrypted_safe(scheme=forge.pbes2(forge.scrypt(2**14, 8, 1)))
    budget = Budget(Limits())

    count_visible(read_pfx(pfx(*[safe] * number)), budget)
    with pytest.raises(TooCostly):
        count_visible(read_pfx(pfx(*[safe] * (9 - number))), budget)


def test_dates_are_for_the_caller_to_look_at():
    key = an_ec_key()
    expired = a_certificate(key, not_before=NOW - 20 * DAY, not_after=NOW - 10 * DAY)

    assert opened(a_pkcs12(key=key, certificate=expired)).leaf.facts.not_after == NOW - 10 * DAY


def test_what_old_openssl_made_with_a_non_ascii_password_opens():
    """OpenSSL up to 1.0.2 widened UTF-8 octets; the library does just that with their Latin-1 text."""
    misread = "pässwörd".encode().decode("latin-1")
    key = an_ec_key()
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(100)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(misread.encode())
    )
    content = pkcs12.serialize_key_and_certificates(None, key, a_certificate(key), None, encryption)

    assert opened(content, "pässwörd").opened_by == "own"


def test_what_java_made_with_latin_1_opens():
    content = pfx(
        encrypted_safe(key_bag(KEY), certificate_bag(CERTIFICATE), password=b"p\xe4ssw\xf6rd"),
        password="pässwörd",
    )

    assert opened(content, "pässwörd").leaf.der == CERTIFICATE


def test_a_second_encoding_is_tried_within_the_budget_only():
    content = pfx(clear_safe(), mac_data=forge.mac_claim(iterations=1000))

    refusal = refusal_of(content, "pässwörd", kdf_iterations=1999)

    assert refusal.code == "wrong_password"
    assert "ASCII" in refusal.detail


def test_a_part_encrypted_with_another_password_says_so():
    content = pfx(encrypted_safe(password="another"))

    assert "does not decrypt a part" in refusal_of(content).detail


@pytest.mark.parametrize("error", [TypeError, IndexError, RecursionError, x509.InvalidVersion, BaseException])
def test_whatever_goes_wrong_inside_becomes_a_code(monkeypatch, error):
    def fail(*_):
        raise error("secret", 1) if error is x509.InvalidVersion else error("secret")

    monkeypatch.setattr("bulkcert.formats.pkcs12.opening.prove", fail)

    refusal = refusal_of(forged())

    assert isinstance(refusal, MalformedPkcs12)
    assert "secret" not in refusal.detail


def test_a_lack_of_memory_is_a_matter_of_cost(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("bulkcert.formats.pkcs12.opening.prove", fail)

    assert isinstance(refusal_of(forged()), TooCostly)


def test_an_interrupt_is_not_swallowed(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bulkcert.formats.pkcs12.opening.prove", interrupt)

    with pytest.raises(KeyboardInterrupt):
        opened(forged())


def test_what_was_opened_does_not_show_its_key():
    assert "Secret(***)" in repr(opened(forged()))
