"""Reports over the wire: a client sees whether one is whole."""

import sqlite3
from contextlib import closing

import pytest

from tests.builders import a_bundle
from tests.live.service import LIVE, LiveService, live_service  # noqa: F401

pytestmark = LIVE

FAR = 2500


def an_import_with_a_broken_item(service: LiveService) -> str:
    """An import of many items, of which one on a later page cannot be read from the database."""
    answer = service.request(
        "POST",
        "/api/v1/imports",
        params={"identity_type": "SERIAL_NUMBER"},
        data=a_bundle(["A12BC3D4EFGH"]),
        headers={"Content-Type": "application/zip", "Prefer": "wait=30"},
    )
    assert answer.status_code == 201
    rows = [
        (answer.json()["id"], at, f"{at}.p12", "failed" if at < FAR else "broken") for at in range(1, FAR + 1)
    ]
    with closing(
        sqlite3.connect(service.data_dir / "bulkcert.sqlite3", timeout=30, isolation_level=None)
    ) as database:
        database.executemany(
            "INSERT INTO items (request_id, position, file, outcome) VALUES (?, ?, ?, ?)", rows
        )
    database.close()
    return f"/api/v1/imports/{answer.json()['id']}"


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
def test_a_report_is_whole_or_refused(live_service: LiveService, accept: str) -> None:  # noqa: F811
    location = an_import_with_a_broken_item(live_service)
    whole = live_service.request("GET", f"{location}/items?outcome=failed", headers={"Accept": accept})
    broken = live_service.request("GET", f"{location}/items", headers={"Accept": accept})

    assert whole.status_code == 200
    assert whole.text.count(".p12") == FAR - 1
    assert int(whole.headers["Content-Length"]) == len(whole.content)
    assert broken.status_code == 500
    assert broken.json()["code"] == "internal_fault"
