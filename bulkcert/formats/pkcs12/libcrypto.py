"""The libcrypto that Python's own hashlib uses, reached through the standard library.

PKCS#12's key derivation is a loop of thousands of digests, RC2 one over every block, a private key a power of
thousands of bits: in C they are many times faster. Where Python was linked with libcrypto statically, or a
function is gone from it, nothing is reached and Python, or the library, does the same work. Whoever uses a
function compares it with Python first, and else goes without.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int, c_long, c_void_p
from functools import cache
from typing import TypeVar

T = TypeVar("T")

_3_0_4 = 0x30000040  # OPENSSL_VERSION_NUMBER of openssl/opensslv.h
_RC2_KEY_SIZE = 64 * ctypes.sizeof(ctypes.c_uint)  # RC2_KEY of openssl/rc2.h


def find(kind: type[T]) -> T | None:
    """Return one of the kinds of function below, or None where this Python's libcrypto cannot be reached."""
    try:
        import _hashlib

        return kind(ctypes.CDLL(_hashlib.__file__))  # type: ignore[call-arg]
    except (ImportError, AttributeError, OSError):
        return None


class Derivation:
    """PKCS#12's key derivation."""

    def __init__(self, library: ctypes.CDLL) -> None:
        find_digest = library.EVP_get_digestbyname
        find_digest.restype, find_digest.argtypes = c_void_p, (c_char_p,)
        self._digest = cache(lambda name: find_digest(name.replace("_", "-").encode()))
        self._derive = library.PKCS12_key_gen_uni
        self._derive.argtypes = (
            c_char_p, c_int, c_char_p, c_int, c_int, c_int, c_int, c_char_p, c_void_p,
        )  # fmt: skip

    def derive(
        self, digest: str, password: bytes, salt: bytes, iterations: int, size: int, purpose: int
    ) -> bytes:
        """Do what `kdf.derive_pkcs12` does. Raises `ValueError` where libcrypto does not."""
        method = self._digest(digest)
        derived = ctypes.create_string_buffer(size)
        salted = (password, len(password), salt, len(salt))
        if not method or not self._derive(*salted, purpose, iterations, size, derived, method):
            msg = "libcrypto does not derive this"
            raise ValueError(msg)
        return derived.raw


class Rc2:
    """RC2 in CBC mode."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._set_key, self._crypt = library.RC2_set_key, library.RC2_cbc_encrypt
        self._set_key.restype = self._crypt.restype = None
        self._set_key.argtypes = (c_char_p, c_int, c_char_p, c_int)
        self._crypt.argtypes = (c_char_p, c_char_p, c_long, c_char_p, c_char_p, c_int)

    def decrypt(self, key: bytes, effective_bits: int, iv: bytes, content: bytes) -> bytes:
        """Do what `rc2.decrypt_cbc` does; content is a multiple of 8 octets, iv 8 octets."""
        schedule = ctypes.create_string_buffer(_RC2_KEY_SIZE)
        chained = ctypes.create_string_buffer(iv, 8)
        plain = ctypes.create_string_buffer(len(content))
        self._set_key(schedule, len(key), key, effective_bits)
        self._crypt(content, plain, len(content), schedule, chained, 0)
        return plain.raw


class _Numbers:
    """libcrypto's large numbers. They may be secret, and are overwritten when they are given back."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._from_octets, self._to_octets = library.BN_bin2bn, library.BN_bn2binpad
        self._free = library.BN_clear_free
        self._new_context, self._free_context = library.BN_CTX_new, library.BN_CTX_free
        self._from_octets.restype = self._new_context.restype = c_void_p
        self._free.restype = self._free_context.restype = None
        self._from_octets.argtypes = (c_char_p, c_int, c_void_p)
        self._to_octets.argtypes = (c_void_p, c_char_p, c_int)
        self._free.argtypes = self._free_context.argtypes = (c_void_p,)

    @contextmanager
    def lend(self, size: int, *numbers: int) -> Iterator[tuple[list[int], int]]:
        """Make numbers of at most `size` octets, and room to reckon in; `MemoryError` where there is none."""
        context = self._new_context()
        made = [self._from_octets(number.to_bytes(size), size, None) for number in numbers]
        try:
            if not context or None in made:
                raise MemoryError
            yield made, context
        finally:
            for number in made:
                self._free(number)
            self._free_context(context)

    def read(self, size: int, number: int) -> int:
        """Return the value of a number of at most `size` octets."""
        octets = ctypes.create_string_buffer(size)
        if self._to_octets(number, octets, size) != size:
            raise MemoryError
        return int.from_bytes(octets.raw)


class ModularPower:
    """Powers modulo an odd number."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._numbers = _Numbers(library)
        self._power = library.BN_mod_exp
        self._power.argtypes = (c_void_p,) * 5

    def power(self, base: int, exponent: int, modulus: int) -> int:
        """Do what `pow` does; all three positive, the base of at most the modulus's size."""
        size = (max(modulus, exponent).bit_length() + 7) // 8
        with self._numbers.lend(size, 0, base, exponent, modulus) as (numbers, context):
            if not self._power(*numbers, context):
                raise MemoryError
            return self._numbers.read(size, numbers[0])


class PairOfPowers:
    """Two powers at once, each modulo an odd number of its own: in constant time, as for private keys.

    Processors with AVX-512 IFMA make both in the time of one where the moduli have 1,024 bits.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        if library.OpenSSL_version_num() == _3_0_4:
            msg = "this function writes beyond its memory (CVE-2022-2274)"
            raise OSError(msg)
        self._numbers = _Numbers(library)
        self._powers = library.BN_mod_exp_mont_consttime_x2
        self._powers.argtypes = (c_void_p,) * 11

    def powers(self, one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int]:
        """Do what `pow(*one), pow(*other)` does; bases and exponents below their odd moduli."""
        size = (max(one[2], other[2]).bit_length() + 7) // 8
        with self._numbers.lend(size, 0, *one, 0, *other) as (numbers, context):
            if not self._powers(*numbers[:4], None, *numbers[4:], None, context):
                raise MemoryError
            return self._numbers.read(size, numbers[0]), self._numbers.read(size, numbers[4])
