"""The octets that a password stands for: one password, several encodings in use."""

from bulkcert.errors import InvalidPassword
from bulkcert.values.secret import Secret


def read_password(password: Secret) -> str:
    """Return the text of a password (UTF-8). Raises `InvalidPassword` where it is no text or holds a NUL.

    A NUL would end the password early inside the library, which then prints it.
    """
    try:
        text = password.reveal().decode()
    except UnicodeDecodeError:
        raise InvalidPassword("The password is not UTF-8 text.") from None
    if "\0" in text:
        raise InvalidPassword("The password holds a NUL character, which no PKCS#12 can have.")
    return text


def pkcs12_encodings(text: str) -> tuple[bytes, ...]:
    """Return the encodings for PKCS#12's own derivation, the standard one first (RFC 7292 §B.1).

    The standard: UTF-16 big-endian and two zero octets. The empty password is also written as no octets at
    all. OpenSSL up to 1.0.2 widened the octets of the UTF-8 text as if they were Latin-1.
    """
    if not text:
        return b"\0\0", b""
    standard = _widen(text)
    if text.isascii():
        return (standard,)
    return standard, _widen(text.encode().decode("latin-1"))


def pbkdf2_encodings(text: str) -> tuple[bytes, ...]:
    """Give the encodings for PBKDF2, the standard one first: UTF-8 (RFC 8018 §3); some Java wrote Latin-1."""
    if text.isascii():
        return (text.encode(),)
    try:
        return text.encode(), text.encode("latin-1")
    except UnicodeEncodeError:
        return (text.encode(),)


def _widen(text: str) -> bytes:
    return text.encode("utf-16-be") + b"\0\0"
