"""Signing once with an RSA key: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2.1).

The library prepares each key for many signatures, which takes longer than one: more than a third of the time
that it takes to open a file. The proof needs one of each key, so for the usual size the private operation is
made of its two powers alone. The library blinds it against whoever measures many operations on messages of
their choice; here the message is random and the signature is thrown away. The powers take constant time, what
Python computes around them does not.
"""

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bulkcert.formats.pkcs12 import libcrypto

_PRIME_BITS = 1024  # of RSA-2048; the powers of longer ones are the library's, which is faster at them
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # RFC 8017 §9.2 note 1


def sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    """Sign a random message. Raises `ValueError` where the key is such that the library cannot."""
    numbers = key.private_numbers()
    if _PAIR is None or not numbers.p.bit_length() == numbers.q.bit_length() == _PRIME_BITS:
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    size = _PRIME_BITS // 4
    encoded = int.from_bytes(_encode(message, size))
    return _raise(_PAIR, numbers, encoded).to_bytes(size)


def _encode(message: bytes, size: int) -> bytes:
    """Encode as EMSA-PKCS1-v1_5 does (RFC 8017 §9.2)."""
    digest = _SHA256_DIGEST_INFO + hashlib.sha256(message).digest()
    return b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest


def _raise(pair: libcrypto.PairOfPowers, key: rsa.RSAPrivateNumbers, message: int) -> int:
    """Make the private operation by the two primes (RSASP1, RFC 8017 §5.2.1 step 2b)."""
    by_p, by_q = pair.powers((message % key.p, key.dmp1, key.p), (message % key.q, key.dmq1, key.q))
    return by_q + (by_p - by_q) * key.iqmp % key.p * key.q


def find_pair() -> libcrypto.PairOfPowers | None:
    """Return libcrypto's function where it can be reached and gives what Python gives.

    Compared with numbers as long as a key's: shorter ones take another way in it.
    """
    pair = libcrypto.find(libcrypto.PairOfPowers)
    moduli = 2**_PRIME_BITS - 105, 2**_PRIME_BITS - 315
    one, other = ((modulus - 2**1000, modulus - 2**900, modulus) for modulus in moduli)
    if pair is None or pair.powers(one, other) != (pow(*one), pow(*other)):
        return None
    return pair


_PAIR = find_pair()
