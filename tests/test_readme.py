"""The walk-through of the README runs as it is printed, against the shipped service."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live import LIVE, LiveService

pytestmark = LIVE

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_walk_through_of_both_doors_runs_as_printed(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (tmp_path / "sample_bundles").symlink_to(ROOT / "sample_bundles")
    settings, *walk = BLOCKS
    assert [line.partition("=")[0] for line in settings.splitlines()] == ["URL", "CA", "PASSWORD"]
    with LiveService(tmp_path / "data") as service:
        # Only where the service is and its password differ from what is printed.
        here = f"URL={service.base_url}\nCA={service.ca_file}\nPASSWORD='{service.password}'\n"
        answers = "echo '----'\n".join(["", *walk])
        done = subprocess.run(  # noqa: PLW1510
            ["bash", "-euo", "pipefail", "-c", here + answers],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    documents = list(read_all(done.stdout.replace("----", " ")))
    imported, failed, kept, deleted, citrix_import, citrix_list, citrix_removal = documents
    assert imported["state"] == "partially_succeeded"
    assert failed["items"] and all(item["code"] for item in failed["items"])
    assert kept["items"]
    assert deleted["state"] == "succeeded"
    assert citrix_import["message"] == "Success"
    assert citrix_list["status"] == 0
    assert citrix_list["certificate"]
    assert int(citrix_removal["successCount"]) > 0


def read_all(text: str) -> list[dict]:
    """Read the JSON documents that stand one behind the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def test_no_command_of_the_documents_skips_the_check_of_the_certificate() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]

    assert [page.name for page in pages if re.search(r"curl[^\n]* (-k|--insecure)\b", page.read_text())] == []
