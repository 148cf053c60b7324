"""Write a PKCS#12 in the form that Apple's older systems read: 3DES, SHA-1, and nothing newer.

Own DER, for the time goes into this form's key derivations, and libcrypto's take half as long as the
library's (decision 0011).
"""

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from bulkcert.formats.pkcs12 import oids
from bulkcert.formats.pkcs12.kdf import Purpose, derive_pkcs12
from bulkcert.secret import Secret

_SALT_BYTES = 8
_BLOCK_BYTES = 8  # of DES
_SHA1_BYTES = 20

# Tags: X.690 §8.
_INTEGER, _OCTET_STRING, _NULL, _OID = 0x02, 0x04, 0x05, 0x06
_SEQUENCE, _SET, _BMP_STRING = 0x30, 0x31, 0x1E
_EXPLICIT_0, _IMPLICIT_0 = 0xA0, 0x80


def write_legacy(
    private_key: Secret, leaf: bytes, chain: Sequence[bytes], name: str, password: Secret, iterations: int
) -> Secret:
    """Write a PFX (RFC 7292 §4): the key in a shrouded bag, the certificates in an encrypted safe, a MAC.

    private_key: PKCS#8 DER. leaf, chain: DER. name: of key and leaf, in the Basic Multilingual Plane.
    password: UTF-8. Each encryption has a salt of its own.
    """
    wide = (password.reveal().decode() + "\0").encode("utf-16-be")  # a BMPString with its end: §B.1
    attributes = _attributes(leaf, name)
    algorithm, encrypted_key = _encrypt(private_key.reveal(), wide, iterations)
    key_bag = _bag(oids.SHROUDED_KEY_BAG, _sequence(algorithm, _octets(encrypted_key)), attributes)
    bags = [_certificate_bag(leaf, attributes), *(_certificate_bag(link, b"") for link in chain)]
    algorithm, encrypted_bags = _encrypt(_sequence(*bags), wide, iterations)
    content = _sequence(_oid(oids.DATA), algorithm, _element(_IMPLICIT_0, encrypted_bags))
    certificates = _sequence(
        _oid(oids.ENCRYPTED_DATA), _element(_EXPLICIT_0, _sequence(_integer(0), content))
    )
    safes = _sequence(certificates, _data(_sequence(key_bag)))
    return Secret(_sequence(_integer(3), _data(safes), _mac(safes, wide, iterations)))


def _encrypt(content: bytes, password: bytes, iterations: int) -> tuple[bytes, bytes]:
    """Encrypt by pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 Appendix C); gives the algorithm, and the rest."""
    salt = os.urandom(_SALT_BYTES)
    key = derive_pkcs12("sha1", password, salt, iterations, 24, Purpose.KEY)
    vector = derive_pkcs12("sha1", password, salt, iterations, _BLOCK_BYTES, Purpose.IV)
    padding = _BLOCK_BYTES - len(content) % _BLOCK_BYTES  # RFC 8018 §6.1.1 step 4
    encryptor = Cipher(TripleDES(key), modes.CBC(vector)).encryptor()
    encrypted = encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()
    parameters = _sequence(_octets(salt), _integer(iterations))
    return _sequence(_oid(oids.PBE_SHA1_3DES), parameters), encrypted


def _mac(safes: bytes, password: bytes, iterations: int) -> bytes:
    """Write the MacData (RFC 7292 §4)."""
    salt = os.urandom(_SALT_BYTES)
    key = derive_pkcs12("sha1", password, salt, iterations, _SHA1_BYTES, Purpose.MAC)
    digest_algorithm = _sequence(_oid(oids.SHA1), _element(_NULL, b""))
    digest_info = _sequence(digest_algorithm, _octets(hmac.digest(key, safes, "sha1")))
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
