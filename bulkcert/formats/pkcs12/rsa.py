"""What stands in for the library's check of an RSA key, which takes 36 of the 38 ms of opening a file.

The library proves p and q prime. Here the bounds are looked at first, before any private operation; then the
numbers must agree with one another, as far as arithmetic shows it; then the key must be its certificate's,
and sign what the certificate verifies (`proof`). A composite p or q that came about by chance or by fault
does not pass that; one crafted to pass, a Carmichael number, is found by rounds of Miller-Rabin, which are a
setting (docs/decisions/0008).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from bulkcert.errors import KeyTooLarge, MalformedPkcs12, UnsupportedAlgorithm, WeakKey
from bulkcert.formats.pkcs12 import libcrypto
from bulkcert.formats.pkcs12.structure import Element
from bulkcert.limits import Limits

_LARGEST_EXPONENT = 2**64  # more makes verifying slow; the library's OpenSSL refuses it too
_UNLIKE_SIZES = 16  # bits that p and q may differ in length by


@dataclass(frozen=True, slots=True, repr=False)
class RsaNumbers:
    """RSAPrivateKey (RFC 8017 §A.1.2), by the names it has there."""

    modulus: int
    public_exponent: int
    private_exponent: int
    prime1: int
    prime2: int
    exponent1: int
    exponent2: int
    coefficient: int

    def load(self) -> rsa.RSAPrivateKey:
        """Make the library's key of them, without its check."""
        public = rsa.RSAPublicNumbers(self.public_exponent, self.modulus)
        numbers = rsa.RSAPrivateNumbers(
            self.prime1, self.prime2, self.private_exponent, self.exponent1, self.exponent2, self.coefficient,
            public,
        )  # fmt: skip
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def read_rsa(key: Element) -> RsaNumbers:
    """Read an RSAPrivateKey of two primes."""
    version, *numbers = key.sequence(9, 10)
    if version.integer() != 0:
        raise UnsupportedAlgorithm("The RSA key has more than two primes.")
    return RsaNumbers(*(number.integer() for number in numbers[:8]))


def check_rsa(numbers: RsaNumbers, limits: Limits) -> None:
    """Refuse a key that is too short, too long, or not sound."""
    _check_size(numbers.modulus.bit_length(), limits)
    if not _has_sane_bounds(numbers) or not _agree(numbers):
        raise MalformedPkcs12("The numbers of the RSA key contradict one another.")
    for prime in (numbers.prime1, numbers.prime2):
        if not _seems_prime(prime, limits.rsa_primality_rounds):
            raise MalformedPkcs12("A prime of the RSA key is not prime.")


def _check_size(bits: int, limits: Limits) -> None:
    if bits < limits.rsa_bits_least:
        raise WeakKey(f"The key is RSA of {bits:,} bits; {limits.rsa_bits_least:,} are the least.")
    if bits > limits.rsa_bits_most:
        raise KeyTooLarge(f"The key is RSA of {bits:,} bits; {limits.rsa_bits_most:,} are the most.")


def _has_sane_bounds(key: RsaNumbers) -> bool:
    """Look at sizes and parities: even moduli and the like make libraries hang (RFC 8017 §3.1, §3.2)."""
    p, q = key.prime1, key.prime2
    return (
        min(p, q) > 2
        and p % 2 == q % 2 == key.modulus % 2 == key.public_exponent % 2 == 1
        and 3 <= key.public_exponent < _LARGEST_EXPONENT
        and p != q
        and abs(p.bit_length() - q.bit_length()) <= _UNLIKE_SIZES
        and 1 < key.private_exponent < key.modulus
    )


def _agree(key: RsaNumbers) -> bool:
    """Hold the numbers against their definitions (RFC 8017 §3.2)."""
    p, q, e, d = key.prime1, key.prime2, key.public_exponent, key.private_exponent
    return (
        key.modulus == p * q
        and key.exponent1 == d % (p - 1)
        and key.exponent2 == d % (q - 1)
        and e * key.exponent1 % (p - 1) == 1  # and so e * d is 1, at half the work
        and e * key.exponent2 % (q - 1) == 1
        and 0 < key.coefficient < p
        and key.coefficient * q % p == 1
    )


def _power_function() -> Callable[[int, int, int], int]:
    """Take libcrypto's, fourteen times as fast as Python's, where it can be reached and gives the same."""
    native = libcrypto.find(libcrypto.ModularPower)
    odd = 2**1024 + 643
    question = (odd - 3, odd - 2, odd)  # as long as a key's numbers
    if native is None or native.power(*question) != pow(*question):
        return pow
    return native.power


_power = _power_function()


def _seems_prime(number: int, rounds: int) -> bool:
    """Make rounds of Miller-Rabin with random bases; a composite passes one by 1 in 4 (FIPS 186-5 §B.3.1)."""
    odd = number - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    return all(_passes(number, 2 + secrets.randbelow(number - 3), odd, twos) for _ in range(rounds))


def _passes(number: int, base: int, odd: int, twos: int) -> bool:
    power = _power(base, odd, number)
    if power in {1, number - 1}:
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
