"""The page of promises names tests that are there, and every promise that tests name stands on it."""

import ast
import functools
import re
from fnmatch import fnmatchcase

from tests.paths import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text()
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
NUMBERED = re.compile(r"test_p(\d+)_")


def rows() -> list[tuple[str, list[str]]]:
    """Return the number and the named tests of each promise on the page."""
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] != "number" and not cells[0].startswith("---"):
            found.append((cells[0], re.findall(r"`(tests/[^`]+)`", cells[2])))
    return found


@functools.cache
def defined() -> set[str]:
    """Return every test that there is, as `path::name`."""
    return {
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_promise_has_a_number_of_its_own_and_tests() -> None:
    numbers = [number for number, _ in rows() if number]

    assert len(numbers) > 20
    assert len(numbers) == len(set(numbers))
    assert [number for number in numbers if not re.fullmatch(r"P\d+", number)] == []
    assert [number for number, tests in rows() if not tests] == []


def test_every_test_that_the_page_names_is_there() -> None:
    existing = defined()
    named = [name for _, tests in rows() for name in tests]

    assert [name for name in named if not any(fnmatchcase(test, name) for test in existing)] == []


def test_every_test_with_a_number_stands_under_it() -> None:
    by_number = dict(rows())
    missing = [
        test
        for test in sorted(defined())
        if (number := NUMBERED.match(test.split("::")[1]))
        and not any(fnmatchcase(test, name) for name in by_number.get(f"P{number[1]}", []))
    ]

    assert missing == []


def test_every_promise_that_a_file_of_tests_or_a_page_names_is_on_the_page() -> None:
    by_number = dict(rows())
    missing = []
    for path in TESTS:
        for number in re.findall(r"\b[Pp]romise (P\d+)", path.read_text()):
            name = str(path.relative_to(ROOT))
            if not any(test.startswith(f"{name}::") for test in by_number.get(number, [])):
                missing.append(f"{name}: {number}")
    for folder, suffix in [("bulkcert", "py"), ("docs", "md")]:
        for path in sorted((ROOT / folder).rglob(f"*.{suffix}")):
            numbers = re.findall(r"\b[Pp]romises? (P\d+)", path.read_text())
            missing += [f"{path}: {number}" for number in numbers if number not in by_number]

    assert missing == []
