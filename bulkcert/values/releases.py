"""Values of a release: secret material that is handed out, and in which form."""

import enum
from dataclasses import dataclass

from bulkcert.errors import MalformedRequest
from bulkcert.values.passwords import read_text, refuse_weak
from bulkcert.values.secret import Secret

LONGEST_PASSWORD = 128
"""Characters. Devices and tools differ in what longer ones they take."""


class ReleaseFormat(enum.StrEnum):
    """What a device certificate is handed out as."""

    PKCS12 = "pkcs12"
    PEM = "pem"


class Encryption(enum.StrEnum):
    """How a PKCS#12 is encrypted. The PEM form always uses AES-256.

    apple_legacy: 3DES and SHA-1 for key and certificates, HMAC-SHA-1: what every Apple device reads.
    aes256: PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256, HMAC-SHA-256: what OpenSSL 3 makes by default.
    """

    APPLE_LEGACY = "apple_legacy"
    AES256 = "aes256"


@dataclass(frozen=True)
class Released:
    """What was handed out. content: DER of the PKCS#12, or PEM text (key, certificate, chain)."""

    format: ReleaseFormat
    content: Secret
    password: Secret
    fingerprint_sha256: str


def check_password(password: Secret) -> None:
    """Refuse a password that does not protect a key, or that tools read differently.

    Raises `WeakPassword` below 12 characters or of fewer than 5 different ones, `MalformedRequest` where it
    has more than 128 characters, holds a control character, or is not UTF-8.
    """
    text = read_text(password, LONGEST_PASSWORD)
    if not text.isprintable():
        raise MalformedRequest("A password holds no character that controls.")
    refuse_weak(text)
