"""What a request asks of the way it is done: `Prefer` (RFC 7240) and `Idempotency-Key`."""

import re
from dataclasses import dataclass
from typing import Self

from flask import request

from bulkcert.values.idempotency import check_key

_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Wait:
    """How long a request waits for the end, and the preference that it follows in that (None: its own)."""

    seconds: float
    applied: str | None

    @classmethod
    def from_request(cls, default: float, longest: float) -> Self:
        """Read `Prefer: respond-async` and `Prefer: wait=N`; what cannot be followed is ignored (§2)."""
        preferences = _preferences()
        wait = preferences.get("wait", "")
        if _SECONDS.fullmatch(wait):
            seconds = min(float(wait), longest)
            asynchronous = "respond-async, " if "respond-async" in preferences else ""
            return cls(seconds, f"{asynchronous}wait={seconds:g}")  # both together: §4.3
        if "respond-async" in preferences:
            return cls(0, "respond-async")
        return cls(min(default, longest), None)


def _preferences() -> dict[str, str]:
    """The first of each name counts (§2)."""
    found: dict[str, str] = {}
    for written in ",".join(request.headers.getlist("Prefer")).split(","):
        name, _, value = written.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def idempotency_key() -> str | None:
    """Give the key by which this request is known when it is sent again, or raise `MalformedRequest`."""
    written = request.headers.get("Idempotency-Key")
    return None if written is None else check_key(written)
