"""Every attack of SECURITY.md is in docs/threats.md too, each with tests that are there."""

import re

from tests.paths import ROOT


def table(document: str) -> list[list[str]]:
    """Return the cells of the rows of a document's table of attackers, without its head."""
    lines = (ROOT / document).read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row[0] != "attacker" and not row[0].startswith("---")]


def test_every_attacker_in_short_is_there_at_length() -> None:
    at_length = {row[0] for row in table("docs/threats.md")}

    assert [row[0] for row in table("SECURITY.md") if row[0] not in at_length] == []


def test_no_attack_stands_there_twice() -> None:
    who = [(row[0], row[1]) for row in table("docs/threats.md")]

    assert len(who) == len(set(who))


def test_every_row_names_tests_that_are_there() -> None:
    for row in table("docs/threats.md"):
        assert len(row) == 4, row
        paths = re.findall(r"`(tests/[\w./]+)`", row[3])
        assert paths or row[3] == "none: not prevented", row
        assert [path for path in paths if not (ROOT / path).is_file()] == []
