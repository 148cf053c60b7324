"""The Postman collection runs from its first request to its last, by newman, against the shipped service."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.contract import document
from tests.live import LIVE, LiveService

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "postman"
COLLECTION = FOLDER / "bulkcert.postman_collection.json"
ENVIRONMENT = FOLDER / "bulkcert.postman_environment.json"


def newman() -> list[str]:
    """The command, or a skip by name. `npx --no-install` takes what is there and fetches nothing."""
    if found := shutil.which("newman"):
        return [found]
    npx = shutil.which("npx")
    command = [npx or "npx", "--no-install", "newman"]
    if (
        npx
        and not subprocess.run(
            [*command, "--version"], check=False, capture_output=True, timeout=60
        ).returncode
    ):
        return command
    pytest.skip("needs newman")


def requests_of(folder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in folder["item"]:
        if "item" in item:
            yield from requests_of(item)
        else:
            yield item


def collection() -> list[dict[str, Any]]:
    return list(requests_of(json.loads(COLLECTION.read_text())))


class TestLive:
    pytestmark = LIVE

    def test_the_collection_runs(self, tmp_path: Path) -> None:
        command = newman()
        with LiveService(tmp_path / "data") as service:
            environment = json.loads(ENVIRONMENT.read_text())
            here = {"baseUrl": service.base_url, "password": service.password}
            for value in environment["values"]:
                value["value"] = here.get(value["key"], value["value"])
            (tmp_path / "environment.json").write_text(json.dumps(environment))
            done = subprocess.run(
                [*command, "run", COLLECTION, "-e", tmp_path / "environment.json", "--working-dir", ROOT,
                 "--ssl-extra-ca-certs", service.ca_file, "--color", "off", "--timeout-request", "60000",
                 "--reporters", "cli,json", "--reporter-json-export", tmp_path / "report.json"],
                check=False, capture_output=True, text=True, timeout=240,
            )  # fmt: skip
        report = json.loads((tmp_path / "report.json").read_text())["run"]

        assert done.returncode == 0, done.stdout + done.stderr
        assert report["failures"] == []
        ran = {each["item"]["name"] for each in report["executions"]}
        assert ran == {item["name"] for item in collection()}
        assert report["stats"]["assertions"]["total"] >= len(collection())


def test_every_operation_of_the_contract_is_in_the_collection() -> None:
    asked = {
        (
            item["request"]["method"].lower(),
            re.sub(r"{{\w+}}", "{}", "/" + "/".join(item["request"]["url"]["path"])),
        )
        for item in collection()
    }
    promised = {
        (method, re.sub(r"{\w+}", "{}", path))
        for path, operations in document()["paths"].items()
        for method in operations
        if method in {"get", "put", "post", "delete", "patch"}
    }

    assert asked == promised


@pytest.mark.parametrize("item", collection(), ids=lambda item: item["name"])
def test_every_request_has_a_test_of_its_own(item: dict[str, Any]) -> None:
    scripts = [event["script"]["exec"] for event in item["event"] if event["listen"] == "test"]

    assert any("pm.test(" in line for script in scripts for line in script)


def test_names_are_given_once_and_files_are_there() -> None:
    names = [item["name"] for item in collection()]
    files = [
        ROOT / part["src"]
        for item in collection()
        for part in item["request"].get("body", {}).get("formdata", [])
        if part["type"] == "file"
    ]

    assert len(names) == len(set(names))
    assert files
    assert all(file.is_file() for file in files)


def test_no_secret_stands_in_the_files() -> None:
    values = {value["key"]: value["value"] for value in json.loads(ENVIRONMENT.read_text())["values"]}

    assert values == {"baseUrl": "https://localhost:4443", "login": "administrator", "password": ""}
    assert not re.search(r"bcs_|eyJ|rejectUnauthorized|strictSSL", COLLECTION.read_text())
