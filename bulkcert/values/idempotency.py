"""Idempotency keys: how a request that is sent again is recognised, and answered as it was the first time.

After the IETF draft "The Idempotency-Key HTTP Header Field"; a key is opaque and belongs to its caller.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from bulkcert.errors import MalformedRequest

KEPT = timedelta(hours=24)
"""After this long a key is forgotten, and the same request is a new one."""

_KEY = re.compile(r"[!-~]{1,255}")


def check_key(text: str) -> str:
    """Return an Idempotency-Key as it came: 1 to 255 visible ASCII characters, else `MalformedRequest`."""
    if not _KEY.fullmatch(text):
        raise MalformedRequest("Idempotency-Key is not of 1 to 255 visible ASCII characters.")
    return text


@dataclass(frozen=True)
class IdempotencyKey:
    """A key with what it stands for: whose, at which route, and a digest of everything that was asked."""

    principal_id: int
    route: str
    key: str
    digest: str

    @property
    def lock(self) -> str:
        """The name of the lock under which it is looked up and kept."""
        return f"idempotency {self.principal_id} {self.route} {self.key}"
