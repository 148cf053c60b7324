"""PKCS#12 files as nobody's tool writes them: made part by part, so that any part may lie."""

import hashlib
import hmac

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bulkcert.formats.pkcs12 import kdf
from bulkcert.formats.pkcs12.oids import oid as encode_oid

PASSWORD = "password1!"
SALT = b"saltsalt"
IV = bytes(range(16))


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def endless(tag: int, *parts: bytes) -> bytes:
    """BER's indefinite length."""
    return bytes([tag, 0x80]) + b"".join(parts) + b"\0\0"


def seq(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def octets(content: bytes) -> bytes:
    return tlv(0x04, content)


def integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def oid(dotted: str) -> bytes:
    return tlv(0x06, encode_oid(dotted))


def explicit(*parts: bytes) -> bytes:
    return tlv(0xA0, *parts)


def null() -> bytes:
    return tlv(0x05)


SHA256 = seq(oid("2.16.840.1.101.3.4.2.1"), null())
HMAC_SHA256 = seq(oid("1.2.840.113549.2.9"), null())


def pbkdf2(
    iterations: int = 1, salt: bytes = SALT, prf: bytes = HMAC_SHA256, key_size: int | None = None
) -> bytes:
    size = b"" if key_size is None else integer(key_size)
    return seq(oid("1.2.840.113549.1.5.12"), seq(octets(salt), integer(iterations), size, prf))


def scrypt(cost: int = 2, block_size: int = 1, parallelization: int = 1, salt: bytes = SALT) -> bytes:
    numbers = (integer(number) for number in (cost, block_size, parallelization))
    return seq(oid("1.3.6.1.4.1.11591.4.11"), seq(octets(salt), *numbers))


AES_256_CBC = seq(oid("2.16.840.1.101.3.4.1.42"), octets(IV))


def pbes2(derivation: bytes | None = None, cipher: bytes = AES_256_CBC) -> bytes:
    return seq(oid("1.2.840.113549.1.5.13"), seq(derivation or pbkdf2(), cipher))


def pbmac1(derivation: bytes, scheme: bytes = HMAC_SHA256) -> bytes:
    return seq(oid("1.2.840.113549.1.5.14"), seq(derivation, scheme))


def pbes1(dotted: str = "1.2.840.113549.1.12.1.3", iterations: int = 1, salt: bytes = SALT) -> bytes:
    return seq(oid(dotted), seq(octets(salt), integer(iterations)))


def encrypt(content: bytes, password: str | bytes = PASSWORD, iterations: int = 1) -> bytes:
    """What `pbes2(pbkdf2(iterations))` says: AES-256-CBC under PBKDF2-SHA-256."""
    octets_of_password = password.encode() if isinstance(password, str) else password
    return encrypt_with(hashlib.pbkdf2_hmac("sha256", octets_of_password, SALT, iterations, 32), content)


def encrypt_with(key: bytes, content: bytes) -> bytes:
    """AES-CBC with the IV of `AES_256_CBC`."""
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(IV)).encryptor()
    return encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()


def bag(dotted: str, value: bytes) -> bytes:
    return seq(oid(dotted), explicit(value))


def key_bag(private_key_info: bytes) -> bytes:
    return bag("1.2.840.113549.1.12.10.1.1", private_key_info)


def shrouded_bag(private_key_info: bytes, scheme: bytes | None = None, password: str = PASSWORD) -> bytes:
    content = encrypt(private_key_info, password)
    return bag("1.2.840.113549.1.12.10.1.2", seq(scheme or pbes2(), octets(content)))


def certificate_bag(der: bytes) -> bytes:
    return bag("1.2.840.113549.1.12.10.1.3", seq(oid("1.2.840.113549.1.9.22.1"), explicit(octets(der))))


def clear_safe(*bags: bytes) -> bytes:
    return seq(oid("1.2.840.113549.1.7.1"), explicit(octets(seq(*bags))))


def encrypted_safe(*bags: bytes, scheme: bytes | None = None, password: str | bytes = PASSWORD) -> bytes:
    content = encrypt(seq(*bags), password)
    encrypted = seq(oid("1.2.840.113549.1.7.1"), scheme or pbes2(), tlv(0x80, content))
    return seq(oid("1.2.840.113549.1.7.6"), explicit(seq(integer(0), encrypted)))


def mac(authenticated: bytes, password: str = PASSWORD, iterations: int = 1) -> bytes:
    """A right MacData."""
    octets_of_password = password.encode("utf-16-be") + b"\0\0"
    key = kdf.derive_pkcs12("sha256", octets_of_password, SALT, iterations, 32, kdf.Purpose.MAC)
    return mac_claim(hmac.digest(key, authenticated, "sha256"), iterations)


def mac_claim(
    digest: bytes = bytes(32), iterations: int = 1, salt: bytes = SALT, algorithm: bytes = SHA256
) -> bytes:
    return seq(seq(algorithm, octets(digest)), octets(salt), integer(iterations))


def pfx(*safes: bytes, mac_data: bytes | None = None, password: str = PASSWORD) -> bytes:
    """A whole file; its MAC is right unless another one is given (`b""`: none at all)."""
    authenticated = seq(*safes)
    check = mac(authenticated, password) if mac_data is None else mac_data
    return seq(integer(3), seq(oid("1.2.840.113549.1.7.1"), explicit(octets(authenticated))), check)
