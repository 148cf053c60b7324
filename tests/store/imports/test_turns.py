"""Turns: the order in which imports are claimed, by the time that principals and imports have used."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bulkcert.store.store import Store
from bulkcert.values.budgets import MOST_TOO_COSTLY_IN_TURN, Cost
from tests.builders import NOW
from tests.store.imports.test_chunks import LEASE, REQUEST
from tests.store.plans import plan_of

OF_OTHER_WORKERS = 100
"""Chunks from this id on are in the hands of other workers."""


def filled(store: Store, in_hand: int = 0) -> Store:
    """Return a store with four imports, named after their principals, that used 3.0, 2.0, 1.0 and 0.5 s.

    in_hand: how many chunks of b others work on.
    """
    costs = [
        Cost(0, "a1", "a", 3.0),
        Cost(0, "a2", "a", 2.0),
        Cost(0, "b1", "b", 1.0),
        Cost(0, "d1", "d", 0.5, too_costly=MOST_TOO_COSTLY_IN_TURN),
    ]
    with store.writing() as tx:
        for number, cost in enumerate(costs, 1):
            tx.requests.insert(replace(REQUEST, id=cost.import_id, requested_by=cost.requested_by))
            tx.turns.charge(cost)
            if cost.requested_by == "b":
                for at in range(in_hand):
                    tx.chunks.insert(OF_OTHER_WORKERS + at, cost.import_id, range(1), 0, b"sealed")
                    assert tx.chunks.claim(NOW, NOW + timedelta(days=1)) is not None
            tx.chunks.insert(number, cost.import_id, range(1, 2), 0, b"sealed")
    return store


def claim_all(store: Store, unpaid: Cost | None = None) -> list[str]:
    """Claim and finish chunks until none is free; returns their imports in that order."""
    order = []
    with store.writing() as tx:
        while (chunk := tx.chunks.claim(NOW, NOW + LEASE, None, unpaid)) is not None:
            order.append(chunk.request_id)
            tx.chunks.finish(chunk)
    return order


@pytest.mark.parametrize(
    ("unpaid", "order"),
    [
        (None, ["b1", "a2", "a1", "d1"]),
        (Cost(0, "b1", "b", 3.9), ["b1", "a2", "a1", "d1"]),  # b has 4.9 s then, and a 5.0
        (Cost(0, "b1", "b", 4.1), ["a2", "a1", "b1", "d1"]),
        (Cost(0, "a2", "a", 0.9), ["b1", "a2", "a1", "d1"]),  # a2 has 2.9 s then, and a1 3.0
        (Cost(0, "a2", "a", 1.1), ["b1", "a1", "a2", "d1"]),
    ],
)
def test_the_least_used_is_claimed_first_by_principal_then_by_import_and_the_too_costly_last(
    any_store: Store, unpaid: Cost | None, order: list[str]
) -> None:
    assert claim_all(filled(any_store), unpaid) == order


@pytest.mark.parametrize(
    ("in_hand", "order"),
    [
        (1, ["b1", "a2", "a1", "d1"]),  # b counts with 3 s
        (3, ["a2", "a1", "b1", "d1"]),  # with 7 s
    ],
)
def test_a_chunk_in_the_hands_of_another_worker_counts_as_a_slice_of_its_principal(
    any_store: Store, in_hand: int, order: list[str]
) -> None:
    assert claim_all(filled(any_store, in_hand)) == order


@pytest.mark.parametrize("unpaid", [None, Cost(1, "a1", "a", 1.0)])
def test_a_claim_reads_no_chunk_that_it_need_not(store: Store, unpaid: Cost | None) -> None:
    """Chunks are large, and thousands of them may wait."""
    plans = plan_of(filled(store), lambda tx: tx.chunks._first_free(NOW, unpaid))

    assert [step for step in plans if "chunks" in step], plans
    assert not [step for step in plans if step.startswith("SCAN chunks")], plans
