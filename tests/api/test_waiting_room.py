"""Who waits for an import that was accepted is never told that it was not."""

from bulkcert.api.waiting_room import WaitingRoom
from bulkcert.errors import Unavailable
from bulkcert.values.bulk_requests import BulkRequest, Counts, RequestKind, RequestState
from tests.builders import NOW

ACCEPTED = BulkRequest(
    "r", RequestKind.IMPORT, None, RequestState.PENDING, Counts(3), None, "administrator", NOW, None, None
)


def test_a_database_that_goes_away_while_one_waits_ends_the_wait_and_nothing_else() -> None:
    def wait(_: str, __: float) -> BulkRequest:
        raise Unavailable("The database went away.")

    room = WaitingRoom(wait, 1)

    assert room.wait(ACCEPTED, 5) is ACCEPTED
    assert room.wait(ACCEPTED, 5) is ACCEPTED  # its seat is free again


def test_one_principal_waits_in_half_of_the_slots() -> None:
    waiting: list[str] = []

    def wait(_: str, __: float) -> BulkRequest:
        waiting.append("")
        if len(waiting) < 10:
            room.wait(ACCEPTED, 5)
        return ACCEPTED

    room = WaitingRoom(wait, 6)
    room.wait(ACCEPTED, 5)

    assert len(waiting) == 3
