"""The arrows: which room may import which, which room alone knows a library, and how large things may be."""

import ast
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "bulkcert"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)

FOUNDATIONS = frozenset({"errors", "values"})
TOOLS = FOUNDATIONS | {"capacity", "formats", "store", "vault"}
VERBS = frozenset({"access", "deployments", "imports", "inventory", "opening"})

ARROWS: dict[str, frozenset[str]] = {
    "__main__": frozenset({"cli"}),
    "cli": FOUNDATIONS | {"config", "formats", "logs", "opening", "processes", "wiring"},
    "processes": FOUNDATIONS | {"api", "config", "logs", "opening", "wiring"},
    "api": FOUNDATIONS | {"capacity", "config", "documents", "logs", "wiring"},
    "wiring": TOOLS | VERBS | {"config", "integrity"},
    "access": FOUNDATIONS | {"capacity", "store", "vault"},
    "imports": TOOLS | {"integrity"},
    "inventory": TOOLS | {"integrity"},
    "deployments": TOOLS | {"integrity"},
    "opening": FOUNDATIONS | {"formats"},
    "integrity": FOUNDATIONS | {"store", "vault"},
    "capacity": FOUNDATIONS,
    "formats": FOUNDATIONS,
    "store": FOUNDATIONS,
    "vault": FOUNDATIONS,
    "config": FOUNDATIONS,
    "logs": frozenset({"errors"}),
    "documents": frozenset(),
    "values": frozenset({"errors"}),
    "errors": frozenset(),
}
"""Which rooms a room may import. A room beside it is none of them: what two verbs share lies below both."""

X509_USERS = {"formats", "cli/tls.py", "deployments/profiles/signing.py"}
"""Where certificates are parsed by a library: hostile ones in `formats`, our own in the two others."""

ALONE = {
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "flask": {"api"},
    "marshmallow": {"api"},
    "jwt": {"api"},
    "werkzeug": {"api"},
    "click": {"cli"},
    "granian": {"processes", "cli"},
    "argon2": {"access"},
    "zipfile": {"formats"},
}
WORDS_NOT_USED = {
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "handler",
    "data",
    "info",
    "common",
    "models",
    "service",
}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_its_arrows_allow(path: Path) -> None:
    room = room_of(path)
    imported = {name.split(".")[1] for name in imports_of(path) if name.startswith("bulkcert.")}

    assert imported - {room, "__version__"} <= ARROWS.get(room, frozenset()), room


def test_hostile_certificates_are_parsed_in_one_room() -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name.startswith("cryptography.x509") for name in imports_of(path))
    }

    assert {user for user in users if not user.startswith("formats/")} <= X509_USERS


def test_certificates_are_read_without_pkcs12() -> None:
    users = {
        path.name
        for path in MODULES
        if path.is_relative_to(PACKAGE / "formats" / "x509")
        and any(name.startswith("bulkcert.formats.pkcs12") for name in imports_of(path))
    }

    assert users == set()


@pytest.mark.parametrize(("library", "rooms"), ALONE.items())
def test_a_library_is_known_to_its_room_alone(library: str, rooms: set[str]) -> None:
    users = {
        room_of(path) for path in MODULES if library in {name.split(".")[0] for name in imports_of(path)}
    }

    assert users <= rooms


def test_every_room_has_its_arrows() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}

    assert rooms <= set(ARROWS)


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {part.removesuffix(".py") for path in MODULES for part in path.relative_to(PACKAGE).parts}

    # errors/service.py holds the refusals of the service itself.
    assert names & WORDS_NOT_USED <= {"service"}


def test_files_and_functions_stay_small() -> None:
    too_long = []
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        if source.count("\n") > 350:
            too_long.append(str(path))
        too_long += [
            f"{path}:{node.name}"
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno > 60
        ]

    assert too_long == []


def test_broad_catches_stand_only_at_the_doors_and_where_hostile_files_are_opened() -> None:
    allowed = {
        "formats/pkcs12",
        "api/problems.py",
        "logs.py",
    }
    broad = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            catches_all = isinstance(node, ast.ExceptHandler) and (
                node.type is None
                or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
            )
            reraises = isinstance(node, ast.ExceptHandler) and any(
                isinstance(last, ast.Raise) and last.exc is None for last in node.body
            )
            name = str(path.relative_to(PACKAGE))
            if catches_all and not reraises and not any(name.startswith(place) for place in allowed):
                broad.append(f"{name}:{node.lineno}")

    assert broad == []
