"""Every sample bundle gives the report that its README promises."""

import io
import re
from pathlib import Path

import pytest

from bulkcert.values.bulk_requests import BulkRequest, ImportOrder
from bulkcert.values.identities import IdentityType
from tests.paths import ROOT
from tests.verbs import Verbs

SAMPLES = ROOT / "sample_bundles"
README = (SAMPLES / "README.md").read_text()


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table that begins with this header."""
    after = README.split(heading, 1)[1].split("\n\n", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in after.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in row] for row in rows]


REQUESTS = table("| file | request | identity type | credentials file | after | expected |")
FAILURES = table("| entry or line | outcome or code | what is wrong with it |")


def send(verbs: Verbs, name: str, request: str, identity_type: str, credentials_file: str) -> BulkRequest:
    with (SAMPLES / name).open("rb") as file:
        kind = IdentityType(identity_type)
        if request == "deletion":
            return verbs.deletions.delete_listed(file, kind, verbs.caller)
        content = io.BytesIO(file.read())
    accepted = verbs.intake.accept(content, ImportOrder(kind, credentials_file or None), verbs.caller)
    verbs.work()
    return verbs.intake.wait(accepted.id, 0)


@pytest.mark.parametrize("row", REQUESTS, ids=lambda row: row[0])
def test_a_sample_gives_the_counts_of_its_row(verbs: Verbs, row: list[str]) -> None:
    name, request, identity_type, credentials_file, after, expected = row
    if after:
        [before] = [earlier for earlier in REQUESTS if earlier[0] == after]
        send(verbs, before[0], *before[1:4])
    counts = send(verbs, name, request, identity_type, credentials_file).counts

    promised = {word: int(number) for word, number in re.findall(r"(\w+)=(\d+)", expected)}
    assert {word: getattr(counts, word) for word in promised} == promised
    assert counts.total == sum(promised.values())


def test_every_item_of_the_failures_sample_ends_as_its_row_says(verbs: Verbs) -> None:
    done = send(verbs, "every-kind-of-failure.zip", "import", "SERIAL_NUMBER", "")
    found = []
    for item in verbs.items(done):
        assert item.result is not None
        where = item.file or f"line `{item.identity}.p12"
        found.append([where, item.result.code or item.result.outcome])

    assert sorted(found) == sorted([row[0], row[1]] for row in FAILURES)


def test_every_sample_has_its_rows() -> None:
    files = {path.name for path in SAMPLES.iterdir() if path.suffix in {".zip", ".txt"}}

    assert {row[0] for row in REQUESTS} == files
    assert {row[0] for row in table("| file | story | how made | passwords |")} == files


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.zip")), ids=lambda path: path.name)
def test_samples_are_small(path: Path) -> None:
    assert path.stat().st_size < 100_000
