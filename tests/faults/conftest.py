"""An installation for each test, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.site import Site


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    """An installation without workers, on either database."""
    with Site(tmp_path, database_url) as site:
        yield site
