"""Cursors read back as they were written, and anything else is refused."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import MalformedRequest
from bulkcert.store.sql import cursors


@given(st.lists(st.integers(0, 10**15), min_size=3, max_size=3, unique=True))
def test_a_page_that_is_not_the_last_points_behind_its_last_item(keys: list[int]) -> None:
    page = cursors.page([(key, 1, str(key)) for key in keys], 2)

    assert page.items == (str(keys[0]), str(keys[1]))
    assert page.next_cursor is not None
    assert cursors.read_number(page.next_cursor) == keys[1]


def test_the_last_page_has_no_cursor() -> None:
    assert cursors.page([(1, 1, "a"), (2, 1, "b")], 2).next_cursor is None
    assert cursors.page([], 2).next_cursor is None


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 5))
def test_a_page_ends_with_its_rows_or_with_its_bytes(sizes: list[int], limit: int) -> None:
    found: list[int] = []
    while True:
        page = cursors.page(
            [(key, size, key) for key, size in enumerate(sizes) if key >= len(found)], limit, 100
        )
        assert sum(sizes[key] for key in page.items) <= 100 or len(page.items) == 1
        assert len(page.items) <= limit
        found += page.items
        if page.next_cursor is None:
            break

    assert found == list(range(len(sizes)))


def test_no_more_rows_are_read_than_a_page_needs() -> None:
    """A row that is read takes memory, whether it is shown or not."""
    read: list[int] = []

    def rows() -> Iterator[tuple[int, int, int]]:
        for key in range(10):
            read.append(key)
            yield key, 40, key

    assert cursors.page(rows(), 5, 100).items == (0, 1)
    assert read == [0, 1, 2]


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        assert 0 <= cursors.read_number(text) < 10**18
    except MalformedRequest as refusal:
        assert refusal.code == "malformed_request"


@pytest.mark.parametrize("text", ["", "===", "é", "LTE"])
def test_odd_cursors_are_refused(text: str) -> None:
    with pytest.raises(MalformedRequest):
        cursors.read_number(text)
