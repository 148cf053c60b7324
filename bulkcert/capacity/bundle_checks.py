"""How many bundles and lists are checked at the same time: one of 100,000 entries takes some 70 MB."""

from contextlib import AbstractContextManager

from bulkcert.capacity.slots import Slots
from bulkcert.errors import TooManyChecks
from bulkcert.values.principals import Caller

WAIT_SECONDS = 20.0
"""The longest wait for the end of another check."""

_RETRY_SECONDS = 5


class BundleChecks:
    """The slots of one process for checking bundles and lists."""

    def __init__(self, most: int = 4, most_of_principal: int = 2) -> None:
        self._slots = Slots(most, most_of_principal)

    def hold(self, caller: Caller) -> AbstractContextManager[None]:
        """Hold a slot for a caller's bundle or list; raises `TooManyChecks` where none gets free in time."""
        refusal = TooManyChecks("Too many bundles are being checked at this moment.", _RETRY_SECONDS)
        return self._slots.hold(str(caller.principal_id), refusal, WAIT_SECONDS)
