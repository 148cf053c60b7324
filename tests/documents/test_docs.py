"""The documents are complete and true."""

import dataclasses
import re
from pathlib import Path

import pytest

from bulkcert import errors
from bulkcert.cli import main
from bulkcert.config import ADMIN_PASSWORD, Config, limit_variable
from bulkcert.values.certificates import WarningCode
from bulkcert.values.events import EventType
from bulkcert.values.limits import Limits
from tests.api.contract import document
from tests.paths import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PROBLEMS = (ROOT / "docs" / "problems.md").read_text()
IMPORTS = (ROOT / "docs" / "imports.md").read_text()
REFUSALS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and "code" in vars(kind)),
    key=lambda kind: kind.code,
)


def rows(document: str) -> dict[str, list[str]]:
    """Return the rows of the tables of a page, by the text of their first cell."""
    lines = [line.strip().strip("|").split(" | ") for line in document.splitlines() if line.startswith("| `")]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells] for cells in lines}


def test_every_setting_stands_in_the_operations_guide_and_none_that_does_not_exist() -> None:
    settings = {field.metadata["variable"] for field in dataclasses.fields(Config) if field.metadata}
    limits = {limit_variable(field.name) for field in dataclasses.fields(Limits)}
    documented = {name for name in rows(OPERATIONS) if name.startswith("BULKCERT_")}

    assert documented == settings | limits | {ADMIN_PASSWORD}


@pytest.mark.parametrize("field", dataclasses.fields(Limits), ids=lambda field: field.name)
def test_the_operations_guide_has_the_default_of_each_limit(field: dataclasses.Field[int]) -> None:
    default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)

    assert rows(OPERATIONS)[limit_variable(field.name)][1] == f"`{default}`"


@pytest.mark.parametrize(
    "field",
    [f for f in dataclasses.fields(Config) if isinstance(f.default, int | str) and f.default],
    ids=lambda f: f.name,
)
def test_the_operations_guide_has_the_default_of_each_setting(field: dataclasses.Field[object]) -> None:
    assert rows(OPERATIONS)[field.metadata["variable"]][1] == f"`{field.default}`"


def commands(group: object, prefix: str = "bulkcert") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found |= (
            commands(command, f"{prefix} {name}") if hasattr(command, "commands") else {f"{prefix} {name}"}
        )
    return found


def test_every_command_stands_in_the_operations_guide_with_its_options() -> None:
    documented = {name for name in rows(OPERATIONS) if name.startswith("bulkcert ")}

    assert documented == commands(main)
    for name in documented:
        command = main
        for word in name.split()[1:]:
            command = command.commands[word]  # type: ignore[attr-defined]
        options = {
            option for parameter in command.params for option in parameter.opts if option.startswith("--")
        }
        assert all(option in rows(OPERATIONS)[name][1] for option in options), name


@pytest.mark.parametrize("event", EventType)
def test_every_event_stands_in_the_operations_guide(event: EventType) -> None:
    assert f"| {int(event)} | `{event.name}` |" in OPERATIONS


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
def test_every_code_is_explained_with_cause_and_remedy(refusal: type[errors.Refusal]) -> None:
    [section] = re.findall(rf"^### `{refusal.code}`\n(.*?)(?=^#|\Z)", PROBLEMS, re.MULTILINE | re.DOTALL)

    assert refusal.remedy in " ".join(section.split())
    assert " ".join((refusal.__doc__ or "").split()) in " ".join(section.split())


def test_no_code_is_explained_that_does_not_exist() -> None:
    assert sorted(re.findall(r"^### `(\w+)`", PROBLEMS, re.MULTILINE)) == [
        refusal.code for refusal in REFUSALS
    ]


def section(document: str, heading: str) -> str:
    """Return the text of a page from a heading to the next."""
    return re.split(r"^## ", document.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]


def test_every_warning_is_explained_with_cause_and_remedy_and_none_that_does_not_exist() -> None:
    explained = rows(section(IMPORTS, "Warnings"))

    assert sorted(explained) == sorted(WarningCode)
    assert [code for code, cells in explained.items() if len(cells) != 3 or not all(cells)] == []


@pytest.mark.parametrize(
    ("heading", "form"),
    [("The form", "ImportForm"), ("Deletions", "DeletionForm")],
    ids=["import", "deletion"],
)
def test_every_field_of_a_form_is_explained(heading: str, form: str) -> None:
    fields = document()["components"]["schemas"][form]["properties"]

    assert sorted(rows(section(IMPORTS, heading))) == sorted(fields)


@pytest.mark.parametrize(
    "page",
    sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    ),
    ids=lambda path: path.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_module_and_public_name_has_a_docstring_that_ruff_checks() -> None:
    configuration = (ROOT / "pyproject.toml").read_text()

    assert '"D1"' in configuration
