"""Write PKCS#12 files and encrypted keys of DER that is kept as it is: nothing is parsed again.

Two forms: the one that Apple's older systems read (3DES and SHA-1, nothing newer), and the one that OpenSSL 3
writes by default (AES-256 and SHA-256). Own DER: the library writes only certificates that it can parse.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from bulkcert.formats.pkcs12 import oids
from bulkcert.formats.pkcs12.kdf import Purpose, derive_pbkdf2, derive_pkcs12
from bulkcert.values.secret import Secret

_MAC_SALT_BYTES = _PBES1_SALT_BYTES = 8
_PBES2_SALT_BYTES = 16

# Tags: X.690 §8.
_INTEGER, _OCTET_STRING, _NULL, _OID = 0x02, 0x04, 0x05, 0x06
_SEQUENCE, _SET, _BMP_STRING = 0x30, 0x31, 0x1E
_EXPLICIT_0, _IMPLICIT_0 = 0xA0, 0x80

Encrypt = Callable[[bytes, Secret, int], tuple[bytes, bytes]]
"""Encrypts content under a password with so many iterations; returns the algorithm (DER), and the result."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a PKCS#12 is protected. digest: of the MAC, by hashlib's name, and its object identifier."""

    encrypt: Encrypt
    digest: str
    digest_oid: bytes


def write_pkcs12(
    form: Form,
    private_key: Secret,
    leaf: bytes,
    chain: Sequence[bytes],
    name: str,
    password: Secret,
    iterations: int,
) -> Secret:
    """Write a PFX (RFC 7292 §4): the key in a shrouded bag, the certificates in an encrypted safe, a MAC.

    private_key: PKCS#8 DER. leaf, chain: DER. name: of key and leaf. password: UTF-8. Each encryption has a
    salt of its own.
    """
    attributes = _attributes(leaf, name)
    key_bag = _bag(oids.SHROUDED_KEY_BAG, write_key(form, private_key, password, iterations), attributes)
    bags = [_certificate_bag(leaf, attributes), *(_certificate_bag(link, b"") for link in chain)]
    algorithm, encrypted_bags = form.encrypt(_sequence(*bags), password, iterations)
    content = _sequence(_oid(oids.DATA), algorithm, _element(_IMPLICIT_0, encrypted_bags))
    certificates = _sequence(
        _oid(oids.ENCRYPTED_DATA), _element(_EXPLICIT_0, _sequence(_integer(0), content))
    )
    safes = _sequence(certificates, _data(_sequence(key_bag)))
    return Secret(_sequence(_integer(3), _data(safes), _mac(form, safes, password, iterations)))


def write_key(form: Form, private_key: Secret, password: Secret, iterations: int) -> bytes:
    """Write an EncryptedPrivateKeyInfo (RFC 5958 §3) of a PKCS#8 key."""
    algorithm, encrypted = form.encrypt(private_key.reveal(), password, iterations)
    return _sequence(algorithm, _octets(encrypted))


def _encrypt_pbes1(content: bytes, password: Secret, iterations: int) -> tuple[bytes, bytes]:
    """Encrypt by pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 Appendix C)."""
    salt = os.urandom(_PBES1_SALT_BYTES)
    key = derive_pkcs12("sha1", _widen(password), salt, iterations, 24, Purpose.KEY)
    vector = derive_pkcs12("sha1", _widen(password), salt, iterations, 8, Purpose.IV)
    algorithm = _sequence(_oid(oids.PBE_SHA1_3DES), _sequence(_octets(salt), _integer(iterations)))
    return algorithm, _encrypt_cbc(TripleDES(key), vector, content)


def _encrypt_pbes2(content: bytes, password: Secret, iterations: int) -> tuple[bytes, bytes]:
    """Encrypt by PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256 (RFC 8018 §6.2)."""
    salt, vector = os.urandom(_PBES2_SALT_BYTES), os.urandom(16)
    key = derive_pbkdf2("sha256", password.reveal(), salt, iterations, 32)
    prf = _sequence(_oid(oids.HMAC_WITH_SHA256), _element(_NULL))
    derivation = _sequence(_oid(oids.PBKDF2), _sequence(_octets(salt), _integer(iterations), prf))
    cipher = _sequence(_oid(oids.AES_256_CBC), _octets(vector))
    algorithm = _sequence(_oid(oids.PBES2), _sequence(derivation, cipher))
    return algorithm, _encrypt_cbc(AES(key), vector, content)


def _encrypt_cbc(cipher: CipherAlgorithm, vector: bytes, content: bytes) -> bytes:
    padding = len(vector) - len(content) % len(vector)  # RFC 8018 §6.1.1 step 4
    encryptor = Cipher(cipher, modes.CBC(vector)).encryptor()
    return encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()


def _widen(password: Secret) -> bytes:
    """Return the password as a BMPString with its end (RFC 7292 §B.1)."""
    return (password.reveal().decode() + "\0").encode("utf-16-be")


LEGACY = Form(_encrypt_pbes1, "sha1", oids.SHA1)
AES_256 = Form(_encrypt_pbes2, "sha256", oids.SHA256)


def _mac(form: Form, safes: bytes, password: Secret, iterations: int) -> bytes:
    """Write the MacData (RFC 7292 §4)."""
    salt = os.urandom(_MAC_SALT_BYTES)
    size = hashlib.new(form.digest, usedforsecurity=False).digest_size
    key = derive_pkcs12(form.digest, _widen(password), salt, iterations, size, Purpose.MAC)
    algorithm = _sequence(_oid(form.digest_oid), _element(_NULL))
    digest_info = _sequence(algorithm, _octets(hmac.digest(key, safes, form.digest)))
    return _sequence(digest_info, _octets(salt), _integer(iterations))


def _attributes(leaf: bytes, name: str) -> bytes:
    """Name key and leaf, and tie them together (RFC 2985 §5.5.1 and §5.5.2)."""
    local_id = hashlib.sha1(leaf, usedforsecurity=False).digest()
    friendly = _sequence(
        _oid(oids.FRIENDLY_NAME), _element(_SET, _element(_BMP_STRING, name.encode("utf-16-be")))
    )
    return _element(_SET, friendly, _sequence(_oid(oids.LOCAL_KEY_ID), _element(_SET, _octets(local_id))))


def _certificate_bag(certificate: bytes, attributes: bytes) -> bytes:
    content = _sequence(_oid(oids.X509_CERTIFICATE), _element(_EXPLICIT_0, _octets(certificate)))
    return _bag(oids.CERTIFICATE_BAG, content, attributes)


def _bag(kind: bytes, content: bytes, attributes: bytes) -> bytes:
    return _sequence(_oid(kind), _element(_EXPLICIT_0, content), attributes)


def _data(content: bytes) -> bytes:
    return _sequence(_oid(oids.DATA), _element(_EXPLICIT_0, _octets(content)))


# --- DER ---------------------------------------------------------------------------------------------


def _element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:  # X.690 §8.1.3
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _sequence(*contents: bytes) -> bytes:
    return _element(_SEQUENCE, *contents)


def _octets(content: bytes) -> bytes:
    return _element(_OCTET_STRING, content)


def _oid(contents: bytes) -> bytes:
    return _element(_OID, contents)


def _integer(value: int) -> bytes:
    return _element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))
