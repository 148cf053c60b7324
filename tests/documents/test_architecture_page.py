"""The page of the architecture has every room with its arrows; documents name only existing files."""

import re
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.test_architecture import ARROWS, FOUNDATIONS, PACKAGE

PAGE = (ROOT / "docs" / "architecture.md").read_text()
SUPERSEDED = {"0001-rooms-and-arrows.md"}
PAGES = sorted(
    path
    for path in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    if path.name not in SUPERSEDED | {"CHANGELOG.md"}
)
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir())
FILE = re.compile(
    r"`([\w.-]+(?:/[\w.-]+)*/[\w-]+\.(?:py|md|sh|yaml)|(?:" + "|".join(ROOMS) + r")/[\w/]+)(?:::\w+)?`"
)
"""A file or folder in backticks: with its folder and ending, or inside a room. A test's name may follow."""


def rooms() -> dict[str, set[str]]:
    """Return the rooms of the page, each with the rooms that it may import."""
    table = PAGE.split("\n## Rooms and arrows\n")[1].split("\n## ")[0]
    found: dict[str, set[str]] = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            allowed = set(re.findall(r"`(\w+)`", cells[3]))
            found[cells[0].strip("`").rstrip("/").removesuffix(".py")] = (
                allowed | FOUNDATIONS if re.search(r"\bvalues$", cells[3]) else allowed
            )
    return found


def test_the_page_has_every_room_with_its_arrows() -> None:
    assert {name: arrows - {name} for name, arrows in rooms().items()} == {
        name: set(arrows) for name, arrows in ARROWS.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    folders = (ROOT, PACKAGE, page.parent, *(PACKAGE / room for room in ROOMS))
    missing = [
        name
        for name in FILE.findall(page.read_text())
        if not any((folder / name).exists() or (folder / f"{name}.py").is_file() for folder in folders)
    ]

    assert missing == []


def test_every_file_that_stands_beside_a_room_is_in_it() -> None:
    table = PAGE.split("\n## Rooms and arrows\n")[1].split("\n## ")[0]
    missing = []
    for line in table.splitlines():
        if line.startswith("| `"):
            room, _, files, _ = [cell.strip() for cell in line.strip("|").split("|")]
            folder = PACKAGE / room.strip("`/")
            names = re.findall(r"`([\w/]+(?:\.py|/))`", files)
            missing += [f"{folder.name}: {name}" for name in names if not (folder / name).exists()]

    assert missing == []
