"""Passwords for tests that are not about hashing: the same code, with parameters of argon2id that cost nothing."""

import threading

from argon2 import PasswordHasher

from bulkcert.access.hashing import Passwords
from bulkcert.values.secret import Secret


class CheapPasswords(Passwords):
    """Hashes that take microseconds instead of about 30 ms."""

    def __init__(self, at_once: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)
        self._turn = threading.BoundedSemaphore(at_once)
        self._nobody = self.hash(Secret(b"nobody"))
