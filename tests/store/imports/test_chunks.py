"""Chunks: claimed by one worker at a time, oldest first, fenced by a token."""

from datetime import timedelta

from bulkcert.store.store import Store
from bulkcert.values.bulk_requests import BulkRequest, Counts, RequestKind, RequestState
from tests.builders import NOW

LEASE = timedelta(seconds=60)
REQUEST = BulkRequest(
    "r", RequestKind.IMPORT, None, RequestState.PENDING, Counts(3), None, "administrator", NOW, None, None
)


def filled(store: Store) -> Store:
    with store.writing() as tx:
        tx.requests.insert(REQUEST)
        for number in (1, 2):
            tx.chunks.insert(number, "r", range(50), number, b"sealed")
    return store


def test_the_oldest_free_chunk_is_claimed_and_each_once(any_store: Store) -> None:
    with filled(any_store).writing() as tx:
        claimed = [tx.chunks.claim(NOW, NOW + LEASE) for _ in range(3)]

    assert [chunk and chunk.id for chunk in claimed] == [1, 2, None]
    assert claimed[0] and claimed[1] and claimed[0].token != claimed[1].token


def test_a_chunk_is_free_again_after_its_lease(any_store: Store) -> None:
    with filled(any_store).writing() as tx:
        tx.chunks.claim(NOW, NOW + LEASE)
        tx.chunks.claim(NOW, NOW + LEASE)
        assert tx.chunks.is_work_waiting(NOW + LEASE) is False
        assert tx.chunks.is_work_waiting(NOW + 2 * LEASE) is True
        again = tx.chunks.claim(NOW + 2 * LEASE, NOW + 3 * LEASE)

    assert again is not None
    assert (again.id, again.attempts) == (1, 2)


def test_only_the_holder_of_the_token_may_renew_or_finish(any_store: Store) -> None:
    with filled(any_store).writing() as tx:
        lost = tx.chunks.claim(NOW, NOW + LEASE)
        tx.chunks.claim(NOW, NOW + LEASE)
        held = tx.chunks.claim(NOW + 2 * LEASE, NOW + 3 * LEASE)
        assert lost and held
        assert tx.chunks.renew(lost, NOW + 9 * LEASE) is False
        assert tx.chunks.finish(lost) is False
        assert tx.chunks.renew(held, NOW + 9 * LEASE) is True
        assert tx.chunks.finish(held) is True
        assert tx.chunks.finish(held) is False
