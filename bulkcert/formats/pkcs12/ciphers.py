"""Decrypting what a password-based scheme encrypted.

PBES2 with AES, 3DES or DES, by PBKDF2 or scrypt; PBES1 with 3DES, RC2, RC4 or DES. Other schemes are rare;
they are the library's (`library`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from bulkcert.errors import WrongPassword
from bulkcert.formats.asn1.ber import OCTET_STRING, broken
from bulkcert.formats.pkcs12 import kdf, oids, rc2
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.passwords import pbkdf2_encodings, pkcs12_encodings
from bulkcert.formats.pkcs12.pfx import Encrypted
from bulkcert.formats.pkcs12.schemes import Pbes1, Pbes2, Pbkdf2, Scheme, Scrypt

_RC2_KEY_SIZES = {oids.PBE_SHA1_RC2_40: 5, oids.PBE_SHA1_RC2_128: 16}
_RC4_KEY_SIZES = {oids.PBE_SHA1_RC4_40: 5, oids.PBE_SHA1_RC4_128: 16}
_PBES1_KEY_SIZES = _RC2_KEY_SIZES | _RC4_KEY_SIZES | {oids.PBE_SHA1_2DES: 16, oids.PBE_SHA1_3DES: 24}
_PBES2_KEY_SIZES = oids.AES_KEY_SIZES | {oids.DES_CBC: 8, oids.DES_EDE3_CBC: 24}
_STREAM = 0
"""The block size of a stream cipher, which needs no padding."""


@dataclass(frozen=True, slots=True, repr=False)
class Passwords:
    """The encodings of one password: the one that passed the integrity check, and those for PBKDF2 to try."""

    pkcs12: bytes
    pbkdf2: tuple[bytes, ...]


def encode(password: str, place: int) -> Passwords:
    """Return the encodings of a password whose integrity check passed with the one at this place."""
    return Passwords(pkcs12_encodings(password)[place], pbkdf2_encodings(password))


def is_decrypted_here(scheme: Scheme) -> bool:
    """Return whether `decrypt` reads this scheme."""
    if isinstance(scheme, Pbes1):
        return scheme.oid in _PBES1_KEY_SIZES or scheme.oid in oids.PBES1_WITH_DES
    if isinstance(scheme.derivation, Pbkdf2) and scheme.derivation.prf is None:
        return False
    return scheme.cipher.oid in _PBES2_KEY_SIZES


def has_right_key_size(scheme: Pbes2) -> bool:
    """Return whether the derivation's key size, which may be left out, is the cipher's (RFC 8018 §A.2)."""
    return scheme.derivation.key_size in {None, _PBES2_KEY_SIZES.get(scheme.cipher.oid)}


def decrypt(encrypted: Encrypted, passwords: Passwords, budget: Budget) -> Iterator[bytes]:
    """Decrypt with one encoding of the password after the other; each derivation is charged beforehand.

    Gives what has a right padding: mostly that is once and the right one, by chance (1 in 256) a wrong one
    before it, so whoever reads it goes on to the next where it makes no sense. Ends with `WrongPassword`.
    """
    scheme = encrypted.scheme
    for place, password in enumerate(_encodings(scheme, passwords)):
        if place and not budget.can_afford(scheme.iterations):
            break
        scheme.charge(budget)
        if isinstance(scheme, Pbes1) and scheme.oid in _RC2_KEY_SIZES:
            budget.decrypt_slowly(len(encrypted.content))
        plain = _unpad(*_decrypt(scheme, password, encrypted.content))
        if plain is not None:
            yield plain
    raise WrongPassword(
        "The password does not decrypt a part of the file. Where it is right, the parts were made with "
        "different passwords or encodings: export the file again, with an ASCII password."
    )


def _encodings(scheme: Scheme, passwords: Passwords) -> tuple[bytes, ...]:
    """Return the encodings to try; for scrypt it is UTF-8 alone, since one derivation is counted."""
    if isinstance(scheme, Pbes1):
        return (passwords.pkcs12,) if scheme.oid in _PBES1_KEY_SIZES else passwords.pbkdf2
    return passwords.pbkdf2[:1] if isinstance(scheme.derivation, Scrypt) else passwords.pbkdf2


def _decrypt(scheme: Scheme, password: bytes, content: bytes) -> tuple[bytes, int]:
    """Decrypt; give what came out, padding left on, and the cipher's block size in octets."""
    if isinstance(scheme, Pbes2):
        return _decrypt_pbes2(scheme, password, content)
    if scheme.oid in _PBES1_KEY_SIZES:
        return _decrypt_pbes1(scheme, password, content)
    key_and_iv = kdf.derive_pbkdf1(
        oids.PBES1_WITH_DES[scheme.oid], password, scheme.salt, scheme.iterations, 16
    )  # RFC 8018 §6.1.1
    return _decrypt_cbc(_triple_des(key_and_iv[:8]), key_and_iv[8:], content), 8


def _decrypt_pbes2(scheme: Pbes2, password: bytes, content: bytes) -> tuple[bytes, int]:
    """Decrypt as RFC 8018 §6.2.2 says; the parameters of the cipher are its IV (§B.2)."""
    if not has_right_key_size(scheme):
        raise broken("the size of a key does not fit its cipher")
    if scheme.cipher.parameters is None:
        raise broken("the parameters of a cipher are missing")
    iv = scheme.cipher.parameters.expect(OCTET_STRING).content
    key = _derive(scheme.derivation, password, _PBES2_KEY_SIZES[scheme.cipher.oid])
    cipher = AES(key) if scheme.cipher.oid in oids.AES_KEY_SIZES else _triple_des(key)
    return _decrypt_cbc(cipher, iv, content), cipher.block_size // 8


def _derive(derivation: Pbkdf2 | Scrypt, password: bytes, size: int) -> bytes:
    if isinstance(derivation, Pbkdf2):
        prf = derivation.prf or ""
        return kdf.derive_pbkdf2(prf, password, derivation.salt, derivation.iterations, size)
    cost = (derivation.cost, derivation.block_size, derivation.parallelization)
    try:
        return kdf.derive_scrypt(password, derivation.salt, *cost, size)
    except ValueError:  # N is no power of two, or too large for r (RFC 7914 §6)
        raise broken("a parameter of scrypt is none that it can have") from None


def _decrypt_pbes1(scheme: Pbes1, password: bytes, content: bytes) -> tuple[bytes, int]:
    """Decrypt as RFC 7292 §C says: key and IV both by PKCS#12's derivation with SHA-1, blocks of 8 octets."""
    size = _PBES1_KEY_SIZES[scheme.oid]
    salted = (password, scheme.salt, scheme.iterations)
    key = kdf.derive_pkcs12("sha1", *salted, size, kdf.Purpose.KEY)
    if scheme.oid in _RC4_KEY_SIZES:
        return Cipher(ARC4(key), None).decryptor().update(content), _STREAM
    iv = kdf.derive_pkcs12("sha1", *salted, rc2.BLOCK, kdf.Purpose.IV)
    if scheme.oid not in _RC2_KEY_SIZES:
        return _decrypt_cbc(_triple_des(key), iv, content), rc2.BLOCK
    if len(content) % rc2.BLOCK:
        raise broken("an encrypted part is not made of whole blocks")
    return rc2.decrypt_cbc(key, 8 * size, iv, content), rc2.BLOCK


def _triple_des(key: bytes) -> TripleDES:
    """Return 3DES with a key of one, two or three DES keys; with one it is DES."""
    return TripleDES((key * 3)[:24])


def _decrypt_cbc(cipher: CipherAlgorithm, iv: bytes, content: bytes) -> bytes:
    try:
        decryptor = Cipher(cipher, modes.CBC(iv)).decryptor()
        return decryptor.update(content) + decryptor.finalize()
    except ValueError:  # the IV or the last block is not of the cipher's size
        raise broken("an encrypted part is not made of whole blocks") from None


def _unpad(plain: bytes, block: int) -> bytes | None:
    """Take the padding off (RFC 8018 §6.1.1 step 4); None where it is wrong."""
    if block == _STREAM:
        return plain
    count = plain[-1] if plain else 0
    if not 1 <= count <= block or plain[-count:] != bytes([count]) * count:
        return None
    return plain[:-count]
