"""Hashes of passwords and of clients' secrets.

Passwords are hashed by argon2id at 19 MiB and two passes (OWASP password storage), at most two at a time: a
flood of logins must not take the machine's memory.
"""

import hashlib
import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bulkcert.values.secret import Secret


class Passwords:
    """argon2id hashes of passwords."""

    def __init__(self, at_once: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._turn = threading.BoundedSemaphore(at_once)
        self._nobody = self.hash(Secret(secrets.token_bytes(16)))

    def hash(self, password: Secret) -> str:
        """Hash a password; the result holds its salt and parameters."""
        with self._turn:
            return self._hasher.hash(password.reveal())

    def matches(self, password_hash: str | None, password: Secret) -> bool:
        """Check a password; without a hash it takes the same time and says no."""
        with self._turn:
            try:
                self._hasher.verify(password_hash or self._nobody, password.reveal())
            except (VerificationError, InvalidHashError):
                return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


def digest_of(secret: Secret) -> str:
    """Digest a client's secret for keeping: SHA-256 is enough for what has 256 random bits."""
    return hashlib.sha256(b"bulkcert client secret\x00" + secret.reveal()).hexdigest()
