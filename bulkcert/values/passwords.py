"""What a password that somebody chose must be like, for a login as for a released key."""

from bulkcert.errors import MalformedRequest, WeakPassword
from bulkcert.values.secret import Secret

SHORTEST = 12
"""Characters."""

_LEAST_DIFFERENT = 5


def read_text(password: Secret, most: int) -> str:
    """Return the text of a password of at most `most` characters, or raise `MalformedRequest`."""
    try:
        text = password.reveal().decode()
    except UnicodeDecodeError:
        raise MalformedRequest("The password is not UTF-8.") from None
    if len(text) > most:
        raise MalformedRequest(f"A password has at most {most} characters.")
    return text


def refuse_weak(text: str) -> None:
    """Refuse a password that is easy to guess: `WeakPassword`."""
    if len(text) < SHORTEST or len(set(text)) < _LEAST_DIFFERENT:
        raise WeakPassword(f"A password has at least {SHORTEST} characters, five different ones among them.")
