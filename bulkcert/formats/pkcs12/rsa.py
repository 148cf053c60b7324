"""What stands in for the library's check of an RSA key, which takes 36 of the 38 ms of opening a file.

The library proves p and q prime. Here the bounds are looked at first, before any private operation; then the
numbers must agree with one another, as far as arithmetic shows it; then the key must be its certificate's,
and sign what the certificate verifies (`proof`). A composite p or q that came about by chance or by fault
does not pass that; one crafted to pass, a Carmichael number, is found by rounds of Miller-Rabin, which are a
setting (docs/decisions/0008).
"""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import rsa

from bulkcert.errors import KeyTooLarge, MalformedPkcs12, UnsupportedAlgorithm, WeakKey
from bulkcert.formats.asn1.ber import Element
from bulkcert.formats.pkcs12 import libcrypto
from bulkcert.values.limits import Limits

_LARGEST_EXPONENT = 2**64  # more makes verifying slow; the library's OpenSSL refuses it too
_UNLIKE_SIZES = 16  # bits that p and q may differ in length by
_MOST_BASES = 16
"""Random bases that are tried to find the primes of a modulus. Each finds them with at least an even chance,
so one of 65,536 sound keys without primes is refused. A key made to cost takes 16 powers."""


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


def check_rsa(numbers: RsaNumbers, limits: Limits) -> RsaNumbers:
    """Refuse a key that is too short, too long, or not sound; return its numbers.

    Modulus and exponents make the key. Primes and CRT values that are missing (zero) or contradict them are
    computed anew, as some writers leave them out, and others swap the primes.
    """
    _check_size(numbers.modulus.bit_length(), limits)
    _check_bounds(numbers)
    completed = _complete(numbers)
    for prime in (completed.prime1, completed.prime2):
        if not _seems_prime(prime, limits.rsa_primality_rounds):
            raise MalformedPkcs12("A prime of the RSA key is not prime.")
    return completed


def _check_size(bits: int, limits: Limits) -> None:
    if bits < limits.rsa_bits_least:
        raise WeakKey(f"The key is RSA of {bits:,} bits; {limits.rsa_bits_least:,} are the least.")
    if bits > limits.rsa_bits_most:
        raise KeyTooLarge(f"The key is RSA of {bits:,} bits; {limits.rsa_bits_most:,} are the most.")


def _check_bounds(key: RsaNumbers) -> None:
    """Check sizes and parities: even moduli and the like make libraries hang (RFC 8017 §3.1, §3.2)."""
    if key.modulus % 2 == 0:
        raise _contradiction("its modulus is even")
    if key.public_exponent % 2 == 0 or not 3 <= key.public_exponent < _LARGEST_EXPONENT:
        raise _contradiction("its public exponent is even, too small or too large")
    if not 1 < key.private_exponent < key.modulus:
        raise _contradiction("its private exponent is not between 1 and the modulus")


def _complete(key: RsaNumbers) -> RsaNumbers:
    """Compare the numbers with their definitions (RFC 8017 §3.2), and compute what is missing or wrong."""
    p, q, e, d = key.prime1, key.prime2, key.public_exponent, key.private_exponent
    if min(p, q) <= 2 or p * q != key.modulus:
        p, q = _find_primes(key)
    if p == q or abs(p.bit_length() - q.bit_length()) > _UNLIKE_SIZES:
        raise _contradiction("its primes are equal or of different size")
    dp, dq = d % (p - 1), d % (q - 1)
    if e * dp % (p - 1) != 1 or e * dq % (q - 1) != 1:  # and so e * d is 1, at half the work
        raise _contradiction("its private exponent does not belong to its public exponent and its primes")
    coefficient = key.coefficient
    if not 0 < coefficient < p or coefficient * q % p != 1:
        if math.gcd(p, q) != 1:
            raise _contradiction("its primes have a factor in common")
        coefficient = pow(q, -1, p)
    return replace(
        key, prime1=p, prime2=q, exponent1=dp, exponent2=dq, coefficient=coefficient
    )  # fmt: skip


def _find_primes(key: RsaNumbers) -> tuple[int, int]:
    """Find the primes of a modulus from its two exponents (NIST SP 800-56B rev. 2, Appendix C.1).

    For every base b, b to the power of e * d - 1 is 1; a square root of 1 on the way that is neither 1 nor -1
    has a factor in common with the modulus. The first base for which it is not 1 shows that d is wrong.
    """
    n = key.modulus
    odd = key.public_exponent * key.private_exponent - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    for _ in range(_MOST_BASES):
        root = _power(2 + secrets.randbelow(n - 3), odd, n)
        if root in {1, n - 1}:
            continue
        for _ in range(twos):
            square = root * root % n
            if square == 1:
                factor = math.gcd(root - 1, n)
                return max(factor, n // factor), min(factor, n // factor)
            if square == n - 1:
                break
            root = square
        else:
            raise _contradiction(
                "its primes are not those of its modulus, and its exponents do not prove others"
            )
    raise _contradiction("its modulus has no two primes that its exponents prove")


def _contradiction(which: str) -> MalformedPkcs12:
    return MalformedPkcs12(f"The numbers of the RSA key contradict one another: {which}.")


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
