"""What a chunk holds reads back as it was written."""

from hypothesis import given
from hypothesis import strategies as st

from bulkcert.imports.sealed_entries import Entry, pack, unpack
from bulkcert.values.secret import Secret

ENTRIES = st.lists(
    st.builds(Entry, st.integers(0, 2**32 - 1), st.binary(max_size=300), st.binary(max_size=50).map(Secret))
)


@given(ENTRIES)
def test_entries_read_back_as_they_were_packed(entries: list[Entry]) -> None:
    assert list(unpack(pack(entries))) == entries
