"""What opening one file may cost: spent before every key derivation, whoever runs it (RFC 7292, 8018, 7914).

A file says itself how long opening it takes, and no password is needed to make it say centuries. So each
count is taken from one budget before the work is done, for parts found inside encrypted parts too.
"""

from bulkcert.errors import TooCostly, TooLarge
from bulkcert.formats.pkcs12.structure import broken
from bulkcert.limits import Limits

_ITERATIONS_FOR_AN_OCTET = 10  # RC2 in Python: 3 ms for a KiB, as long as 10,000 rounds of a digest


class Budget:
    """What is left of the limits for one file. Methods raise `TooCostly` or `TooLarge` past a limit."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._iterations = self._scrypt = self._safes = self._certificates = 0

    def can_afford(self, iterations: int) -> bool:
        """Tell whether so many iterations are left."""
        return self._iterations + iterations <= self._limits.kdf_iterations

    def iterate(self, iterations: int, salt: bytes, loops: int = 1) -> None:
        """Spend one derivation that runs its iterations `loops` times."""
        if iterations < 1:
            raise broken("a count of iterations is not positive")
        self._salt(salt)
        self._spend(iterations * loops)

    def decrypt_slowly(self, octets: int) -> None:
        """Spend decrypting with a cipher that may have to run in Python."""
        self._spend(octets * _ITERATIONS_FOR_AN_OCTET)

    def scrypt(self, cost: int, block_size: int, parallelization: int, salt: bytes) -> None:
        """Spend one scrypt derivation (RFC 7914 §6: N, r, p)."""
        if min(cost, block_size, parallelization) < 1:
            raise broken("a parameter of scrypt is not positive")
        self._salt(salt)
        self._scrypt += cost * block_size * parallelization
        if self._scrypt > self._limits.scrypt_cost:
            raise TooCostly(
                "Opening the file would take more memory and time for scrypt than the limit allows."
            )

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

    def _spend(self, iterations: int) -> None:
        if not self.can_afford(iterations):
            most = self._limits.kdf_iterations
            raise TooCostly(f"Opening the file would take more than {most:,} key derivation iterations.")
        self._iterations += iterations

    def _salt(self, salt: bytes) -> None:
        if len(salt) > self._limits.salt_bytes:
            raise TooCostly(f"A salt in the file is longer than {self._limits.salt_bytes:,} bytes.")
