"""The tests. They begin with the clock that they run by: see `tests/later.py`."""

from tests import later

later.travel()
