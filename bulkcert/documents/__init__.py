"""The documents that the service serves: its contract and its page of problem codes.

A wheel has a copy of each in this folder (`force-include` in pyproject.toml). A checkout has only the
originals, at its top and in `docs/`, so that nothing is kept twice.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent
_CHECKOUT = _FOLDER.parent.parent


def read_openapi() -> bytes:
    """Return openapi.yaml: OpenAPI 3.1 as YAML, UTF-8, about 140 KB."""
    return _read("openapi.yaml", _CHECKOUT / "openapi.yaml")


def read_problems() -> bytes:
    """Return docs/problems.md, cause and remedy of every code: Markdown, UTF-8, about 14 KB."""
    return _read("problems.md", _CHECKOUT / "docs" / "problems.md")


def _read(name: str, original: Path) -> bytes:
    packaged = _FOLDER / name
    return (packaged if packaged.exists() else original).read_bytes()
