"""Decrypting what a password-based scheme encrypted: PBES2 with AES or 3DES, PBES1 with 3DES or RC2.

Other schemes are rare; they are the library's (`library`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from bulkcert.errors import WrongPassword
from bulkcert.formats.asn1.ber import OCTET_STRING, broken
from bulkcert.formats.pkcs12 import kdf, oids, rc2
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.passwords import pbkdf2_encodings, pkcs12_encodings
from bulkcert.formats.pkcs12.pfx import Encrypted
from bulkcert.formats.pkcs12.schemes import Pbes1, Pbes2, Pbkdf2, Scheme

_RC2_KEY_SIZES = {oids.PBE_SHA1_RC2_40: 5, oids.PBE_SHA1_RC2_128: 16}
_3DES_KEY_SIZE = 24


@dataclass(frozen=True, slots=True, repr=False)
class Passwords:
    """The encodings of one password: the one that passed the integrity check, and those for PBKDF2 to try."""

    pkcs12: bytes
    pbkdf2: tuple[bytes, ...]


def encode(password: str, place: int) -> Passwords:
    """Give the encodings of a password whose integrity check passed with the one at this place."""
    return Passwords(pkcs12_encodings(password)[place], pbkdf2_encodings(password))


def is_decrypted_here(scheme: Scheme) -> bool:
    """Tell whether `decrypt` reads this scheme."""
    if isinstance(scheme, Pbes1):
        return scheme.oid == oids.PBE_SHA1_3DES or scheme.oid in _RC2_KEY_SIZES
    if not isinstance(scheme.derivation, Pbkdf2) or scheme.derivation.prf is None:
        return False
    return scheme.cipher.oid in oids.AES_KEY_SIZES or scheme.cipher.oid == oids.DES_EDE3_CBC


def has_right_key_size(scheme: Pbes2) -> bool:
    """Tell whether PBKDF2's key size, which may be left out, is the cipher's (RFC 8018 §A.2)."""
    derivation = scheme.derivation
    return isinstance(derivation, Pbkdf2) and derivation.key_size in {None, _key_size(scheme)}


def decrypt(encrypted: Encrypted, passwords: Passwords, budget: Budget) -> Iterator[bytes]:
    """Decrypt with one encoding of the password after the other; each derivation is charged beforehand.

    Gives what has a right padding: mostly that is once and the right one, by chance (1 in 256) a wrong one
    before it, so whoever reads it goes on to the next where it makes no sense. Ends with `WrongPassword`.
    """
    scheme = encrypted.scheme
    encodings = (passwords.pkcs12,) if isinstance(scheme, Pbes1) else passwords.pbkdf2
    for place, password in enumerate(encodings):
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


def _decrypt(scheme: Scheme, password: bytes, content: bytes) -> tuple[bytes, int]:
    """Decrypt; give what came out, padding left on, and the cipher's block size in octets."""
    if isinstance(scheme, Pbes1):
        return _decrypt_pbes1(scheme, password, content)
    return _decrypt_pbes2(scheme, password, content)


def _decrypt_pbes2(scheme: Pbes2, password: bytes, content: bytes) -> tuple[bytes, int]:
    """Decrypt as RFC 8018 §6.2.2 says; the parameters of the cipher are its IV (§B.2)."""
    derivation = scheme.derivation
    size = _key_size(scheme)
    if not isinstance(derivation, Pbkdf2) or not has_right_key_size(scheme):
        raise broken("the size of a key does not fit its cipher")
    if scheme.cipher.parameters is None:
        raise broken("the parameters of a cipher are missing")
    iv = scheme.cipher.parameters.expect(OCTET_STRING).content
    prf = derivation.prf or ""
    key = kdf.derive_pbkdf2(prf, password, derivation.salt, derivation.iterations, size)
    cipher = AES(key) if scheme.cipher.oid in oids.AES_KEY_SIZES else TripleDES(key)
    return _decrypt_cbc(cipher, iv, content), cipher.block_size // 8


def _key_size(scheme: Pbes2) -> int:
    return oids.AES_KEY_SIZES.get(scheme.cipher.oid, _3DES_KEY_SIZE)


def _decrypt_pbes1(scheme: Pbes1, password: bytes, content: bytes) -> tuple[bytes, int]:
    """Decrypt as RFC 7292 §C says: key and IV both by PKCS#12's derivation with SHA-1, blocks of 8 octets."""
    size = _RC2_KEY_SIZES.get(scheme.oid, _3DES_KEY_SIZE)
    salted = (password, scheme.salt, scheme.iterations)
    key = kdf.derive_pkcs12("sha1", *salted, size, kdf.Purpose.KEY)
    iv = kdf.derive_pkcs12("sha1", *salted, rc2.BLOCK, kdf.Purpose.IV)
    if scheme.oid not in _RC2_KEY_SIZES:
        return _decrypt_cbc(TripleDES(key), iv, content), rc2.BLOCK
    if len(content) % rc2.BLOCK:
        raise broken("an encrypted part is not made of whole blocks")
    return rc2.decrypt_cbc(key, 8 * size, iv, content), rc2.BLOCK


def _decrypt_cbc(cipher: CipherAlgorithm, iv: bytes, content: bytes) -> bytes:
    try:
        decryptor = Cipher(cipher, modes.CBC(iv)).decryptor()
        return decryptor.update(content) + decryptor.finalize()
    except ValueError:  # the IV or the last block is not of the cipher's size
        raise broken("an encrypted part is not made of whole blocks") from None


def _unpad(plain: bytes, block: int) -> bytes | None:
    """Take the padding off (RFC 8018 §6.1.1 step 4); None where it is wrong."""
    count = plain[-1] if plain else 0
    if not 1 <= count <= block or plain[-count:] != bytes([count]) * count:
        return None
    return plain[:-count]
