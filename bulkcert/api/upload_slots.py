"""Slots for requests that send a body: a client that stalls in a body holds a thread of the server.

Requests without a token are counted by address, others by account, and webhooks apart, so that none of the
three takes the threads of the others.
"""

from flask import Flask, g, request

from bulkcert.api import context
from bulkcert.capacity.slots import Slots
from bulkcert.errors import Refusal, TooManyRequests, Unavailable

MOST_ANONYMOUS, MOST_OF_SOURCE = 192, 64
"""Requests without a token that may send a body at the same time, in all and from one address."""

MOST_AUTHENTICATED, MOST_OF_PRINCIPAL = 224, 64
"""The same with a token, in all and of one account."""

MOST_WEBHOOKS = 32
"""Together they leave 64 of the 512 threads (`gateway.THREADS`) to requests without a body."""

_RETRY_SECONDS = 5


class UploadSlots:
    """The slots of one app."""

    def __init__(self) -> None:
        self._anonymous = Slots(MOST_ANONYMOUS, MOST_OF_SOURCE)
        self._authenticated = Slots(MOST_AUTHENTICATED, MOST_OF_PRINCIPAL)
        self._webhooks = Slots(MOST_WEBHOOKS, MOST_WEBHOOKS)

    def take(self) -> None:
        """Take a slot for this request if it has a body.

        Raises `TooManyRequests` or `Unavailable` if none is free.
        """
        if not request.content_length and "Transfer-Encoding" not in request.headers:
            return
        slots, owner, refusal = self._of_request()
        if not slots.take(owner):
            raise refusal
        g.upload_slot = slots, owner

    def _of_request(self) -> tuple[Slots, str, Refusal]:
        if "caller" in g:
            refusal = TooManyRequests("Too many requests of this account are being sent.", _RETRY_SECONDS)
            return self._authenticated, str(context.caller().principal_id), refusal
        unavailable = Unavailable("Too many requests without a token are being sent at this moment.")
        if request.blueprint == "mdm":
            return self._webhooks, "", unavailable
        return self._anonymous, request.remote_addr or "", unavailable


def install(app: Flask) -> None:
    """Count the requests of an app. Call it after `authorization.install`, which finds the caller."""
    slots = UploadSlots()
    app.before_request(slots.take)
    app.teardown_request(lambda _error: _give_back())


def _give_back() -> None:
    if (taken := g.pop("upload_slot", None)) is not None:
        slots, owner = taken
        slots.give_back(owner)
