"""No invented host or mailbox stands in the repository: names are reserved for examples (RFC 2606, RFC 6761), or real."""

import ipaddress
import re
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT

OTHERS = (
    {"LICENSE", "CODE_OF_CONDUCT.md"} | {path.name for path in ROOT.glob("*.lock")} | {"package-lock.json"}
)
"""Texts and lists that others wrote."""

RESERVED = re.compile(r"(?:.+\.)?(?:example(?:\.(?:com|net|org))?|test|invalid|localhost|internal)")
CITED = {
    "git-lfs.github.com",
    "keepachangelog.com",
    "schema.getpostman.com",
    "www.apple.com",
    "www.npmjs.com",
    "www.postgresql.org",
    "www.sqlite.org",
}
PLACEHOLDERS = {"HOST", "direct", "u", "nanomdm", "bulkcert", "mdm"}
"""One word, which is no host of anybody: an upstream, a placeholder, a login before its `@`."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = (ROOT / name for name in listed.splitlines())
    return [path for path in files if path.is_file() and path.name not in OTHERS]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:  # a zip
        return ""


def is_reserved(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return bool(RESERVED.fullmatch(host)) or host in CITED | PLACEHOLDERS


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [
    r"https?://(?:[a-z:]+@)?([A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9]|[A-Za-z])",
    r"[A-Za-z0-9._+-]+@((?:[A-Za-z0-9-]+\.)+(?:com|org|net|io|local|edu|de|dev|app|example|test))\b",
])  # fmt: skip
def test_every_host_and_mailbox_is_reserved_for_examples_or_cited(pattern: str) -> None:
    found = {host: path for path in tracked() for host in re.findall(pattern, text_of(path))}

    assert found
    assert {host: str(path) for host, path in found.items() if not is_reserved(host)} == {}
