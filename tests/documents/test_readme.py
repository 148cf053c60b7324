"""The walk-through of the README runs as printed, in common shells, against the shipped service."""

import csv
import io
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arguments import WatchedCommands
from tests.fresh.shell_blocks import shell_blocks
from tests.live.service import LIVE, LiveService
from tests.live.witnesses import require
from tests.paths import ROOT

BLOCKS = shell_blocks(ROOT / "README.md")
BETWEEN = "\n----\n"
SHELLS = {"bash": ["bash", "-euo", "pipefail"], "dash": ["dash", "-eu"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("readme") / "data") as service:
        yield service


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Create a folder that looks like a checkout."""
    require("curl")
    require("python3")
    (tmp_path / "sample_bundles").symlink_to(ROOT / "sample_bundles")
    return tmp_path


def walk(
    shell: list[str], place: Path, service: LiveService, blocks: list[str], path: str = "", **other: str
) -> subprocess.CompletedProcess[str]:
    """Run blocks of the README. Only the service's address and password differ from the printed text."""
    settings = {"URL": service.base_url, "CA": str(service.ca_file), "PASSWORD": service.password} | other
    here = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    return subprocess.run(
        [*shell, "-c", here + f"printf '%s' {shlex.quote(BETWEEN)}\n".join(["", *blocks])],
        cwd=place,
        env=service.environment | {"PATH": f"{path}:{service.environment['PATH']}".lstrip(":")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class TestLive:
    pytestmark = LIVE

    @pytest.mark.parametrize("shell", SHELLS)
    def test_the_walk_through_runs_as_printed(self, shell: str, place: Path, service: LiveService) -> None:
        require(shell)
        done = walk(SHELLS[shell], place, service, BLOCKS[1:])

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        _, functions, login, *parts = done.stdout.split(BETWEEN)
        assert functions == login == ""
        assert [line for part in parts for line in part.splitlines() if not line] == []
        imported, kept, failing, deleted, citrix = parts
        assert documents(imported)[0]["state"] == "succeeded"  # a newcomer's first import works
        assert documents(imported)[0]["counts"]["created"] == 3
        assert len(json.loads(kept)["items"]) == 3
        summary, report = failing.split("\n", 1)
        assert json.loads(summary)["state"] == "partially_succeeded"
        assert all(row["code"] for row in csv.DictReader(io.StringIO(report.strip())))
        assert [each["state"] for each in documents(deleted)] == ["succeeded", "succeeded"]
        assert [each["counts"]["deleted"] for each in documents(deleted)] == [1, 2]
        citrix_import, citrix_list, citrix_removal = documents(citrix)
        assert citrix_import["message"] == "Success"
        assert len(citrix_list["certificate"]) >= 3
        assert citrix_removal["successCount"] == "3"

    def test_the_commands_of_the_page_on_imports_run_after_those_of_the_readme(
        self, place: Path, service: LiveService
    ) -> None:
        done = walk(
            SHELLS["dash"], place, service, [*BLOCKS[1:3], *shell_blocks(ROOT / "docs" / "imports.md")]
        )
        imported, deleted = map(documents, done.stdout.split(BETWEEN)[3:])

        assert done.returncode == 0, done.stdout + done.stderr
        assert [imported[0]["on_conflict"], imported[0]["validate_only"]] == ["keep", True]
        assert imported[0]["state"] == "succeeded"
        assert deleted[0]["validate_only"] is True

    def test_no_password_or_token_stands_in_the_arguments_of_a_process(
        self, place: Path, service: LiveService
    ) -> None:
        shown = 'printf \'%s\\n\' "$TOKEN" "$AUTH_TOKEN"\n'
        watched = WatchedCommands(place, "curl", "python3")
        done = walk(SHELLS["bash"], place, service, [*BLOCKS[1:], shown], path=str(watched.folder))
        secrets = (service.password, *done.stdout.split()[-2:])

        assert done.returncode == 0, done.stdout + done.stderr
        assert watched.arguments.count("--fail-with-body") >= 10
        assert [secret for secret in secrets if secret in watched.arguments] == []

    @pytest.mark.parametrize("shell", [["bash"], ["dash"]], ids=lambda shell: shell[0])
    @pytest.mark.parametrize(
        ("other", "shown"),
        [
            ({"PASSWORD": 'not "the" password\\'}, "wrong_credentials"),
            ({"URL": "https://localhost:9"}, "Failed to connect"),
            ({"CA": "no-such-file"}, "curl: (77)"),
        ],
        ids=["wrong password", "no service", "no certificate"],
    )
    def test_a_call_that_fails_says_why_and_shows_no_traceback(
        self, shell: list[str], other: dict[str, str], shown: str, place: Path, service: LiveService
    ) -> None:
        require(shell[0])
        done = walk(shell, place, service, BLOCKS[1:4], **other)

        assert shown in done.stderr
        assert "Traceback" not in done.stderr


def documents(text: str) -> list[dict]:
    """Read JSON documents, one on each line."""
    return [json.loads(line) for line in text.splitlines() if line]


def test_the_first_block_has_the_settings_that_a_reader_changes() -> None:
    assert [line.partition("=")[0] for line in BLOCKS[0].splitlines()] == ["URL", "CA", "PASSWORD"]


def test_the_lines_of_the_readme_fit_a_terminal_of_110_columns() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()

    assert [line for line in lines if len(line) > 110] == []


def test_no_command_of_the_documents_skips_the_check_of_the_certificate() -> None:
    assert [
        page.name for page in pages() if re.search(r"curl[^\n]* (-k|--insecure)\b", page.read_text())
    ] == []


def test_no_command_of_the_documents_has_a_password_or_token_as_an_argument() -> None:
    secret = re.compile(r"""-(H|d|u) ?["'][^\n]*\$(PASSWORD|TOKEN|AUTH|SECRET)""")

    assert [page.name for page in pages() if secret.search(page.read_text())] == []


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
