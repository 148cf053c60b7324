"""The waiting room: how many requests may wait for the end of their import at the same time.

A request that waits holds a thread of the web server. Beyond the limit, in all or of one principal, a request
is not refused: it is answered at once with the state so far.
"""

from collections.abc import Callable

from bulkcert.capacity.slots import Slots
from bulkcert.errors import Unavailable
from bulkcert.values.bulk_requests import BulkRequest

Wait = Callable[[str, float], BulkRequest]


class WaitingRoom:
    """Slots for `most` requests. wait: `ImportIntake.wait`, from an id and seconds to the state by then."""

    def __init__(self, wait: Wait, most: int) -> None:
        self._wait = wait
        self._slots = Slots(most, max(1, most // 2))

    def wait(self, accepted: BulkRequest, seconds: float) -> BulkRequest:
        """Wait until the request is finished or `seconds` are over, and return its state then.

        Return at once if it is finished already, no time is asked for or no slot is free.
        """
        if accepted.state.is_finished or seconds <= 0 or not self._slots.take(accepted.requested_by):
            return accepted
        try:
            return self._wait(accepted.id, seconds)
        except Unavailable:  # the import was accepted; after a refusal the client would send it again
            return accepted
        finally:
            self._slots.give_back(accepted.requested_by)
