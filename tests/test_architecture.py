"""The arrows: which room may import which, which room alone knows a library, and how large things may be."""

import ast
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "bulkcert"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)

VALUES = frozenset(
    "errors secret identities certificates reports events expiry principals logins limits entries releases"
    " passwords idempotency workers policies mdm_words file_kinds misspellings lookalikes password_hints chain_rank"
    " budgets chunk_results".split()
)
ARROWS: dict[str, frozenset[str]] = {
    **dict.fromkeys(VALUES, VALUES),
    "formats": VALUES - {"policies"},
    "policies": VALUES | {"formats"},  # trusted roots are certificates, read as all others are
    "store": VALUES,
    "vault": VALUES,
    "spool": VALUES,
    "config": VALUES | {"database_url"},
    "database_url": frozenset(),
    "documents": frozenset(),
    "draining": frozenset(),
    "logs": frozenset({"errors"}),
    "memory": frozenset(),
    "slots": frozenset(),
    "opening": VALUES | {"formats", "memory"},
    "throttle": VALUES | {"slots", "store"},
    "signing_keys": VALUES | {"store", "vault"},
    "access": VALUES | {"signing_keys", "store", "throttle", "vault"},
    "bulk_requests": VALUES | {"store"},
    "accounts": VALUES | {"access", "frequent_passwords", "store"},
    "frequent_passwords": frozenset(),
    "releaser": VALUES | {"formats", "key_seals", "store", "vault"},
    "bundle_checks": VALUES | {"slots"},
    "bundle_entries": VALUES | {"formats"},
    "importer": VALUES | {"bundle_checks", "bundle_entries", "formats", "store", "vault"},
    "integrity": VALUES | {"store", "vault"},
    "key_seals": VALUES | {"integrity", "store", "vault"},
    "keeping": VALUES | {"importer", "integrity", "key_seals", "store", "vault"},
    "returns": VALUES | {"store"},
    "keeper": VALUES | {"importer", "keeping", "returns", "store", "vault"},
    "deleting": VALUES | {"importer", "store"},
    "inventory": VALUES | {"bundle_checks", "deleting", "formats", "importer", "store", "vault"},
    "devices": VALUES | {"store"},
    "vpn_policies": VALUES | {"store"},
    "deployer": VALUES | {"formats"},
    "deployments": VALUES | {"deployer", "formats", "key_seals", "outcomes", "store", "vault"},
    "outcomes": VALUES | {"store"},
    "mdm": VALUES | {"deployer", "deployments", "formats", "outcomes", "store", "vault"},
    "roll": VALUES | {"store"},
    "upkeep": VALUES | {"store"},
    "installation": VALUES | {"config", "integrity", "store", "vault"},
    "proofs": VALUES | {"integrity", "key_seals", "signing_keys", "store", "vault"},
    "wiring": VALUES
    | set(
        "installation integrity proofs deployer deployments devices mdm vpn_policies roll upkeep config vault store spool opening draining access bundle_checks importer keeper inventory bulk_requests accounts releaser".split()
    ),
    "worker": frozenset({"wiring", "config", "errors", "logs", "memory"}),
    "api": VALUES | {"wiring", "config", "documents", "slots", "logs"},
    "cli": VALUES | set("api worker wiring installation config formats draining logs memory".split()),
    "__main__": frozenset({"cli"}),
}
ALONE = {
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "flask": {"api"},
    "marshmallow": {"api"},
    "jwt": {"api"},
    "werkzeug": {"api"},
    "click": {"cli"},
    "granian": {"cli"},
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
        "opening.py",
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
