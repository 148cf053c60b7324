"""What stands in for the library's check of an RSA key, and what it does not find."""

import dataclasses
import math
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa as library_rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bulkcert.errors import ItemRefusal, MalformedPkcs12
from bulkcert.formats.pkcs12 import rsa
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.formats.pkcs12.rsa import RsaNumbers, check_rsa
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import a_certificate, an_rsa_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.specimens import der, der_of

E = 65537
KEY = ("modulus", "public_exponent", "private_exponent")
PROVEN = ("prime1", "prime2", "exponent1", "exponent2", "coefficient")
"""What modulus and exponents prove, and what is computed of them where it is missing or wrong."""


def numbers_of(key: library_rsa.RSAPrivateKey) -> RsaNumbers:
    private = key.private_numbers()
    public = private.public_numbers
    return RsaNumbers(
        public.n, public.e, private.d, private.p, private.q, private.dmp1, private.dmq1, private.iqmp
    )


def private_numbers(numbers: RsaNumbers) -> library_rsa.RSAPrivateNumbers:
    return numbers.load().private_numbers()


def swapped(numbers: RsaNumbers) -> RsaNumbers:
    """The same key with its primes in the other order."""
    p, q, d = numbers.prime2, numbers.prime1, numbers.private_exponent
    return RsaNumbers(
        numbers.modulus, numbers.public_exponent, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)
    )


def is_the_same_key(numbers: RsaNumbers, expected: RsaNumbers) -> bool:
    return numbers in {expected, swapped(expected)}


def consistent(p: int, q: int, e: int = E) -> RsaNumbers:
    """Numbers that agree as if p and q were prime."""
    d = pow(e, -1, math.lcm(p - 1, q - 1))
    return RsaNumbers(p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))


def encoded(numbers: RsaNumbers, version: int = 0, more: bytes = b"") -> bytes:
    """PrivateKeyInfo, whatever the numbers are."""
    integers = (forge.integer(getattr(numbers, field.name)) for field in dataclasses.fields(numbers))
    key = forge.seq(forge.integer(version), *integers, more)
    algorithm = forge.seq(forge.oid("1.2.840.113549.1.1.1"), forge.null())
    return forge.seq(forge.integer(0), algorithm, forge.octets(key))


def a_file(private_key_info: bytes, certificate: bytes) -> bytes:
    return forge.pfx(forge.clear_safe(forge.key_bag(private_key_info), forge.certificate_bag(certificate)))


def code_of(content: bytes, **limits: int) -> str:
    with pytest.raises(ItemRefusal) as caught:
        open_pkcs12(content, Secret(forge.PASSWORD.encode()), Limits(**limits))
    return caught.value.code


def certified(numbers: RsaNumbers) -> bytes:
    """A certificate for the public half of any numbers."""
    return der(a_certificate(library_rsa.RSAPublicNumbers(numbers.public_exponent, numbers.modulus)))


@pytest.fixture(scope="module")
def sound() -> RsaNumbers:
    return numbers_of(an_rsa_key())


@pytest.fixture(scope="module")
def certificate() -> bytes:
    return der(a_certificate(an_rsa_key()))


def test_a_sound_key_opens(sound, certificate):
    opened = open_pkcs12(a_file(encoded(sound), certificate), Secret(forge.PASSWORD.encode()))

    assert opened.private_key.reveal() == der_of(an_rsa_key())


def test_a_sound_key_opens_with_rounds_of_primality(sound, certificate):
    content = a_file(encoded(sound), certificate)

    assert open_pkcs12(content, Secret(forge.PASSWORD.encode()), Limits(rsa_primality_rounds=5)).chain == ()


@pytest.mark.parametrize("field", KEY)
@pytest.mark.parametrize("by", [1, 2, -2, 2**64])
def test_a_key_whose_modulus_or_exponent_is_changed_is_refused(sound, certificate, field, by):
    tampered = dataclasses.replace(sound, **{field: getattr(sound, field) + by})

    assert code_of(a_file(encoded(tampered), certificate)) == "malformed_pkcs12"


@pytest.mark.parametrize("field", KEY)
def test_arithmetic_alone_sees_a_modulus_or_exponent_changed(sound, field):
    """Whatever else would notice it later."""
    with pytest.raises(MalformedPkcs12, match="contradict one another: its"):
        check_rsa(dataclasses.replace(sound, **{field: getattr(sound, field) + 2}), Limits())


@pytest.mark.parametrize("field", PROVEN)
@pytest.mark.parametrize("by", [1, 2, -2, 2**64])
def test_a_prime_or_crt_value_that_is_wrong_is_computed_anew(sound, field, by):
    odd = dataclasses.replace(sound, **{field: getattr(sound, field) + by})

    assert is_the_same_key(check_rsa(odd, Limits()), sound)


@pytest.mark.parametrize(
    "missing",
    [PROVEN, PROVEN[:2], PROVEN[2:], ("prime2",), ("coefficient",), ("exponent1", "exponent2")],
    ids="-".join,
)
@pytest.mark.parametrize("value", [0, 1, -1])
def test_a_key_without_primes_or_crt_values_opens(sound, certificate, missing, value):
    content = a_file(encoded(dataclasses.replace(sound, **dict.fromkeys(missing, value))), certificate)

    opened = open_pkcs12(content, Secret(forge.PASSWORD.encode()))

    kept = load_der_private_key(opened.private_key.reveal(), None)  # with the library's own check
    assert kept.private_numbers() in {private_numbers(sound), private_numbers(swapped(sound))}


def test_a_coefficient_for_primes_that_changed_places_is_computed_anew(sound, certificate):
    odd = dataclasses.replace(sound, coefficient=pow(sound.prime1, -1, sound.prime2))
    opened = open_pkcs12(a_file(encoded(odd), certificate), Secret(forge.PASSWORD.encode()))

    assert opened.private_key.reveal() == der_of(an_rsa_key())


def test_a_key_without_primes_opens_without_libcrypto(sound, monkeypatch):
    monkeypatch.setattr(rsa, "_power", pow)
    without = dataclasses.replace(sound, **dict.fromkeys(PROVEN, 0))

    assert is_the_same_key(check_rsa(without, Limits()), sound)


@pytest.mark.parametrize(("bits", "exponent"), [(2048, 3), (3072, E), (4096, E)])
def test_the_primes_are_found_from_the_exponents(bits, exponent):
    numbers = numbers_of(library_rsa.generate_private_key(exponent, bits))

    assert is_the_same_key(check_rsa(dataclasses.replace(numbers, prime1=0, prime2=0), Limits()), numbers)


@pytest.mark.slow
def test_a_modulus_without_two_primes_is_refused_in_time():
    """The exponents fit a modulus that is prime, so that no base ever finds a factor."""
    prime = a_prime(2048, 7)
    numbers = RsaNumbers(prime, E, pow(E, -1, prime - 1), 0, 0, 0, 0, 0)

    with pytest.raises(MalformedPkcs12, match="no two primes"):
        check_rsa(numbers, Limits())


def test_a_modulus_of_three_primes_is_refused_though_its_exponents_find_a_factor():
    factors = [a_prime(683, seed) for seed in (11, 12, 13)]
    n = math.prod(factors)
    d = pow(E, -1, math.lcm(*(factor - 1 for factor in factors)))

    with pytest.raises(MalformedPkcs12, match="contradict"):
        check_rsa(RsaNumbers(n, E, d, 0, 0, 0, 0, 0), Limits())


@pytest.mark.parametrize("prime", ["prime1", "prime2"])
def test_a_private_exponent_that_is_wrong_for_one_prime_only_is_refused(sound, prime):
    """With CRT values that fit it, so that nothing but its definition tells."""
    other = (sound.prime1 if prime == "prime2" else sound.prime2) - 1
    d = (sound.private_exponent + other) % sound.modulus
    wrong = dataclasses.replace(
        sound, private_exponent=d, exponent1=d % (sound.prime1 - 1), exponent2=d % (sound.prime2 - 1)
    )

    with pytest.raises(MalformedPkcs12):
        check_rsa(wrong, Limits())


@pytest.mark.parametrize("field", KEY)
@pytest.mark.parametrize("value", [0, 1, -1])
def test_a_key_with_a_number_of_no_meaning_is_refused(sound, certificate, field, value):
    tampered = dataclasses.replace(sound, **{field: value})

    assert code_of(a_file(encoded(tampered), certificate)) in {"malformed_pkcs12", "weak_key"}


def test_primes_that_changed_places_open_with_values_that_fit_them(sound):
    odd = dataclasses.replace(sound, prime1=sound.prime2, prime2=sound.prime1)

    assert private_numbers(check_rsa(odd, Limits())) == private_numbers(swapped(sound))


def test_a_sound_key_of_another_certificate_is_a_mismatch(sound, certificate):
    other = numbers_of(an_rsa_key(2048, 1))

    assert code_of(a_file(encoded(other), certificate)) == "key_mismatch"


def test_the_modulus_of_another_key_is_refused(sound, certificate):
    other = numbers_of(an_rsa_key(2048, 1))

    assert (
        code_of(a_file(encoded(dataclasses.replace(other, modulus=sound.modulus)), certificate))
        == "malformed_pkcs12"
    )


def a_prime(bits: int, seed: int) -> int:
    """Odd, with the two highest bits set, so that products have their full length."""
    chance = random.Random(seed)
    while True:
        candidate = chance.getrandbits(bits) | 1 | 3 << (bits - 2)
        if rsa._seems_prime(candidate, 20) and math.gcd(candidate - 1, E) == 1:
            return candidate


def test_a_composite_prime_is_refused_though_all_numbers_agree():
    numbers = consistent(a_prime(512, 1) * a_prime(513, 2), a_prime(1024, 5))
    check_rsa(numbers, Limits())  # arithmetic alone does not see it: the signature does

    assert code_of(a_file(encoded(numbers), certified(numbers))) == "malformed_pkcs12"


CHERNICK = (
    453047516631813449906272266229381253299210903718009750611891932776000902261744197945172446117935275246
)
"""k, such that 6k+1, 12k+1 and 18k+1 are prime: their product is a Carmichael number, of 1,024 bits."""


@pytest.fixture(scope="module")
def crafted() -> RsaNumbers:
    factors = [times * CHERNICK + 1 for times in (6, 12, 18)]
    assert all(rsa._seems_prime(factor, 20) for factor in factors)
    return consistent(math.prod(factors), a_prime(1024, 5))


def test_a_carmichael_number_for_a_prime_is_refused_with_rounds_of_primality(crafted):
    content = a_file(encoded(crafted), certified(crafted))

    assert code_of(content, rsa_primality_rounds=20) == "malformed_pkcs12"


def test_a_carmichael_number_for_a_prime_is_not_noticed_without(crafted):
    """What docs/decisions/0008 accepts: it takes malice, and harms whoever uploads it."""
    content = a_file(encoded(crafted), certified(crafted))

    assert open_pkcs12(content, Secret(forge.PASSWORD.encode())).leaf.facts.key_size == 2048


@pytest.mark.parametrize(
    ("bits", "code"),
    [(1024, "weak_key"), (2047, "weak_key"), (4097, "key_too_large"), (16_384, "key_too_large")],
)
def test_a_key_of_a_size_that_is_not_taken_is_refused_before_anything_is_computed(certificate, bits, code):
    modulus = 2 ** (bits - 1) + 1
    numbers = RsaNumbers(modulus, E, modulus - 2, *[2 ** (bits // 2) + 1] * 5)

    assert code_of(a_file(encoded(numbers), certificate)) == code


@pytest.mark.parametrize("exponent", [1, 2, 65536, 2**64 + 1])
def test_an_exponent_out_of_bounds_is_refused(sound, certificate, exponent):
    assert (
        code_of(a_file(encoded(dataclasses.replace(sound, public_exponent=exponent)), certificate))
        == "malformed_pkcs12"
    )


@pytest.mark.parametrize("exponent", [2**64 + 13, 2**521 - 1])
def test_an_exponent_that_makes_verifying_slow_is_refused_though_all_numbers_agree(exponent):
    numbers = consistent(a_prime(1024, 5), a_prime(1024, 6), exponent)

    with pytest.raises(MalformedPkcs12):
        check_rsa(numbers, Limits())


def test_primes_of_unlike_size_are_refused():
    numbers = consistent(a_prime(1100, 3), a_prime(948, 4))

    assert code_of(a_file(encoded(numbers), certified(numbers))) == "malformed_pkcs12"


def test_a_key_of_three_primes_is_not_read(sound, certificate):
    more = forge.seq(forge.seq(*[forge.integer(3)] * 3))

    assert code_of(a_file(encoded(sound, 1, more), certificate)) == "unsupported_algorithm"


@pytest.mark.parametrize("number", [9, 15, 561, 1105, 2**89 - 2, 25326001, 3215031751])
def test_composites_do_not_seem_prime(number):
    assert not rsa._seems_prime(number, 40)


@pytest.mark.parametrize("number", [5, 7, 97, 2**61 - 1, 2**89 - 1, 2**521 - 1])
def test_primes_seem_prime(number):
    assert rsa._seems_prime(number, 40)


def test_powers_are_the_same_without_libcrypto(monkeypatch):
    monkeypatch.setattr("bulkcert.formats.pkcs12.libcrypto.find", lambda _kind: None)

    assert rsa._power_function() is pow
