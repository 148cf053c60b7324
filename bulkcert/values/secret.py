"""Secret: bytes that never print."""

import hmac
from typing import NoReturn


class Secret:
    """Holds bytes that must not show in a log, an exception, `repr`, JSON or a pickle.

    `reveal` is the one way to the bytes, so that a search for it finds every use.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes themselves."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        return True  # an empty password is a password: ask `is None`, never for truth

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash table of secrets would leak by timing

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        msg = "a Secret is not pickled; send its bytes over a pipe that you mean to send them over"
        raise TypeError(msg)
