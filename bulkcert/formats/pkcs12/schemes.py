"""Password-based schemes: what a file says of them, and what they cost (RFC 8018, RFC 7292 §C, RFC 9579).

Reading a scheme does nothing with it. `declare` counts what it asks for against the limits, once, when it is
seen; `charge` spends the work before each derivation.
"""

from typing import NamedTuple

from bulkcert.errors import UnsupportedAlgorithm
from bulkcert.formats.asn1.ber import INTEGER, OCTET_STRING, Element, broken
from bulkcert.formats.pkcs12 import oids
from bulkcert.formats.pkcs12.budget import Budget

_LONGEST_DIGEST = 64
_LONGEST_MAC_KEY = 1024  # octets: no digest needs more than 64, but files with 256 are about
_SHORTEST_MAC_KEY = 20  # octets: with fewer the check could be guessed (RFC 9579 §9)

# How often each scheme of RFC 7292 §C runs its SHA-1 loop: once for every 20 octets of key, once for the IV.
_LOOPS = {
    oids.PBE_SHA1_RC4_128: 1,
    oids.PBE_SHA1_RC4_40: 1,
    oids.PBE_SHA1_3DES: 3,
    oids.PBE_SHA1_2DES: 2,
    oids.PBE_SHA1_RC2_128: 2,
    oids.PBE_SHA1_RC2_40: 2,
} | dict.fromkeys(oids.OLDER_PBES1, 1)  # RFC 8018 §6.1: one loop gives key and IV


class Algorithm(NamedTuple):
    """An AlgorithmIdentifier (RFC 5280 §4.1.1.2): its name as encoded, and its parameters if any."""

    oid: bytes
    parameters: Element | None

    def parts(self, least: int, most: int) -> list[Element]:
        """Read parameters that are a SEQUENCE of so many."""
        if self.parameters is None:
            raise broken("the parameters of an algorithm are missing")
        return self.parameters.sequence(least, most)


class Pbkdf2(NamedTuple):
    """PBKDF2-params (RFC 8018 §A.2). prf: its digest's name, None where it is none that is read here.

    It iterates anew for every digest that the key is long (RFC 8018 §5.2 step 3): one is counted for every 64
    octets, since the few rounds that a cipher's key takes are what the limit was measured with.
    """

    salt: bytes
    iterations: int
    key_size: int | None
    prf: str | None

    def declare(self, budget: Budget) -> None:
        """Count one derivation."""
        if self.key_size is not None and self.key_size < 1:
            raise broken("the size of a key is not positive")
        budget.count(self.iterations, self.salt, self._blocks)

    def charge(self, budget: Budget) -> None:
        """Spend one derivation."""
        budget.spend(self.iterations * self._blocks)

    @property
    def _blocks(self) -> int:
        return 1 if self.key_size is None else -(-self.key_size // _LONGEST_DIGEST)


class Scrypt(NamedTuple):
    """scrypt-params (RFC 7914 §7.1). key_size: octets of the key, which may be left out."""

    salt: bytes
    cost: int
    block_size: int
    parallelization: int
    key_size: int | None

    def declare(self, budget: Budget) -> None:
        """Count one derivation."""
        budget.scrypt(self.cost, self.block_size, self.parallelization, self.salt)

    def charge(self, budget: Budget) -> None:
        """Spend nothing: it was counted, and is derived once here, and once more where the library opens."""


class Pbes1(NamedTuple):
    """A scheme with salt and count alone (RFC 7292 §C, RFC 8018 §A.3)."""

    oid: bytes
    salt: bytes
    iterations: int

    def declare(self, budget: Budget) -> None:
        """Count the iterations once, however many loops they are run in."""
        budget.count(self.iterations, self.salt)

    def charge(self, budget: Budget) -> None:
        """Spend the derivations of key and initialisation vector."""
        budget.spend(self.iterations * _LOOPS[self.oid])


class Pbes2(NamedTuple):
    """A key derivation and a cipher (RFC 8018 §A.4)."""

    derivation: Pbkdf2 | Scrypt
    cipher: Algorithm

    @property
    def iterations(self) -> int:
        """How often the derivation iterates; scrypt does not."""
        return self.derivation.iterations if isinstance(self.derivation, Pbkdf2) else 0

    def declare(self, budget: Budget) -> None:
        """Count the derivation."""
        self.derivation.declare(budget)

    def charge(self, budget: Budget) -> None:
        """Spend the derivation."""
        self.derivation.charge(budget)


Scheme = Pbes1 | Pbes2


def read_algorithm(element: Element) -> Algorithm:
    """Read an AlgorithmIdentifier; the parameters may be absent."""
    parts = element.sequence(1, 2)
    return Algorithm(parts[0].oid(), parts[1] if len(parts) > 1 else None)


def read_scheme(element: Element) -> Scheme:
    """Read the scheme that something is encrypted with. One whose cost cannot be read is refused."""
    algorithm = read_algorithm(element)
    if algorithm.oid == oids.PBES2:
        derivation, cipher = algorithm.parts(2, 2)
        return Pbes2(_read_derivation(read_algorithm(derivation)), read_algorithm(cipher))
    if algorithm.oid in _LOOPS:
        salt, iterations = algorithm.parts(2, 2)
        return Pbes1(algorithm.oid, salt.expect(OCTET_STRING).content, iterations.integer())
    raise UnsupportedAlgorithm("The file is encrypted with an algorithm that is not read.")


def read_pbmac1(algorithm: Algorithm) -> tuple[Pbkdf2, int, str]:
    """Read PBMAC1-params (RFC 9579 §4): the derivation, the octets of its key, and the HMAC's digest."""
    derivation, mac = (read_algorithm(part) for part in algorithm.parts(2, 2))
    pbkdf2 = _read_pbkdf2(derivation) if derivation.oid == oids.PBKDF2 else None
    if pbkdf2 is None or pbkdf2.prf is None or mac.oid not in oids.HMACS:
        raise UnsupportedAlgorithm("The file's integrity check uses an algorithm that is not read.")
    if pbkdf2.key_size is None or not _SHORTEST_MAC_KEY <= pbkdf2.key_size <= _LONGEST_MAC_KEY:
        raise broken("the key of its integrity check is too short or too long (RFC 9579)")
    return pbkdf2, pbkdf2.key_size, oids.HMACS[mac.oid]


def _read_derivation(derivation: Algorithm) -> Pbkdf2 | Scrypt:
    if derivation.oid == oids.PBKDF2:
        return _read_pbkdf2(derivation)
    if derivation.oid == oids.SCRYPT:
        salt, *rest = derivation.parts(4, 5)
        cost, block_size, parallelization, *key_size = (number.integer() for number in rest)
        size = key_size[0] if key_size else None
        return Scrypt(salt.expect(OCTET_STRING).content, cost, block_size, parallelization, size)
    raise UnsupportedAlgorithm("The file derives its keys with an algorithm that is not read.")


def _read_pbkdf2(derivation: Algorithm) -> Pbkdf2:
    """Read the parameters; of the two choices for the salt, otherSource is used by nobody."""
    salt, iterations, *rest = derivation.parts(2, 4)
    key_size = rest.pop(0).integer() if rest and rest[0].tag == INTEGER else None
    prf = read_algorithm(rest[0]).oid if rest else oids.HMAC_WITH_SHA1
    return Pbkdf2(salt.expect(OCTET_STRING).content, iterations.integer(), key_size, oids.HMACS.get(prf))
