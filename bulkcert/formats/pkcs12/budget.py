"""What opening one file may cost: counted as it is read, spent before each derivation (RFC 7292, 7914, 8018).

A file says itself how long opening it takes, and no password is needed to make it say centuries. So what each
derivation asks for is counted against the limits before the work is done, once, and for parts found inside
encrypted parts too. The work weighs more than what is counted: 3DES derives three times, a second encoding of
the password is tried, the library does it again. It is spent from an account of its own, which is large
enough for every file that is within the limits.
"""

from bulkcert.errors import TooCostly, TooLarge
from bulkcert.formats.asn1.ber import broken
from bulkcert.values.limits import Limits

_ITERATIONS_FOR_AN_OCTET = 10  # RC2 in Python: 3 ms for a KiB, as long as 10,000 rounds of a digest
_MOST_WORK = 6  # rounds for each that is counted: 3DES takes three here, and the library the same again


class Budget:
    """What is left of the limits for one file. Methods raise `TooCostly` or `TooLarge` past a limit."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._iterations = self._scrypt = self._safes = self._certificates = 0
        self._work = _MOST_WORK * limits.kdf_iterations + _ITERATIONS_FOR_AN_OCTET * limits.pkcs12_bytes

    # --- what the file asks for ---

    def count(self, iterations: int, salt: bytes, blocks: int = 1) -> None:
        """Count one derivation, which iterates anew for each of the `blocks` of its key."""
        if iterations < 1:
            raise broken("a count of iterations is not positive")
        self._salt(salt)
        self._iterations += iterations * blocks
        if self._iterations > (most := self._limits.kdf_iterations):
            raise TooCostly(f"Opening the file would take more than {most:,} key derivation iterations.")

    def scrypt(self, cost: int, block_size: int, parallelization: int, salt: bytes) -> None:
        """Count one scrypt derivation (RFC 7914 §6: N, r, p)."""
        if min(cost, block_size, parallelization) < 1:
            raise broken("a parameter of scrypt is not positive")
        self._salt(salt)
        asked = cost * block_size * parallelization
        self._scrypt += asked
        for found, most, where in (
            (asked, self._limits.scrypt_cost, "in one derivation"),
            (self._scrypt, self._limits.scrypt_cost_of_file, "in all derivations together"),
        ):
            if found > most:
                raise TooCostly(f"The file asks for scrypt with N * r * p of more than {most:,} {where}.")

    def safe(self) -> None:
        """Count one part of the AuthenticatedSafe."""
        self._safes += 1
        if self._safes > self._limits.safes:
            raise TooCostly(f"The file has more than {self._limits.safes} safes.")

    def certificates(self, count: int) -> None:
        """Count certificates."""
        self._certificates += count
        if self._certificates > self._limits.certificates:
            raise TooLarge(f"The file has more than {self._limits.certificates} certificates.")

    # --- what it takes ---

    def can_afford(self, rounds: int) -> bool:
        """Return whether so many rounds of a digest are left."""
        return rounds <= self._work

    def spend(self, rounds: int) -> None:
        """Spend one derivation, before it is made."""
        if not self.can_afford(rounds):
            raise TooCostly("Opening the file would take more work than its iterations account for.")
        self._work -= rounds

    def decrypt_slowly(self, octets: int) -> None:
        """Spend decrypting with a cipher that may have to run in Python."""
        self.spend(octets * _ITERATIONS_FOR_AN_OCTET)

    def _salt(self, salt: bytes) -> None:
        if len(salt) > self._limits.salt_bytes:
            raise TooCostly(f"A salt in the file is longer than {self._limits.salt_bytes:,} bytes.")
