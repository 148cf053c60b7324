"""The Postman collection runs from its first request to its last, by newman, against the shipped service."""

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.api.contract import document
from tests.builders import a_bundle
from tests.deployments.example_deployer import ExampleDeployer
from tests.fresh.shell_blocks import shell_blocks
from tests.live.service import LIVE, LiveService
from tests.paths import ROOT

FOLDER = ROOT / "docs" / "postman"
COLLECTION = FOLDER / "bulkcert.postman_collection.json"
ENVIRONMENT = FOLDER / "bulkcert.postman_environment.json"
README = FOLDER / "README.md"
OWN = ("A12BC3D4EFGH", "B98ZY7X6WVUT", "C02X12YZJHD4")
"""The devices of `sample_bundles/serial-numbers.zip`."""


def newman() -> list[str]:
    """Return the command, or skip by name. `npx --no-install` fetches nothing."""
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


def run_as_printed(service: LiveService, place: Path) -> subprocess.CompletedProcess[str]:
    """Run the commands of the collection's README in a copy of its folder that lies in another checkout."""
    [settings, commands] = shell_blocks(README)
    assert settings.startswith("PASSWORD=")
    folder = place / "docs" / "postman"
    folder.mkdir(parents=True)
    for file in FOLDER.iterdir():
        shutil.copy(file, folder, follow_symlinks=False)
    (place / "sample_bundles").symlink_to(ROOT / "sample_bundles")
    (place / "bulkcert-data").symlink_to(service.data_dir)
    environment = json.loads(ENVIRONMENT.read_text())
    environment["values"][0]["value"] = service.base_url
    (folder / ENVIRONMENT.name).write_text(json.dumps(environment))
    report = (
        f"--color off --reporters cli,json --reporter-json-export {shlex.quote(str(place / 'report.json'))}"
    )
    watched = commands.replace("newman run", f"{shlex.join(newman())} run {report}")
    return subprocess.run(
        ["dash", "-eu", "-c", f"PASSWORD={shlex.quote(service.password)}\n{watched}"],
        cwd=folder,
        env=service.environment | {"TMPDIR": str(place)},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )


def report_of(place: Path) -> dict[str, Any]:
    return json.loads((place / "report.json").read_text())["run"]


FOREIGN = ("FOREIGN0DEVICE", "D56EF7G8HJKL")
"""Devices of another user; the second is listed in `sample_bundles/deletion-list.txt`."""


def keep_foreign_devices(service: LiveService) -> dict[str, str]:
    """Import two devices that the collection does not know; return the id of each one's certificate."""
    files = {"bundle": ("devices.zip", a_bundle(FOREIGN))}
    form = {"identity_type": "SERIAL_NUMBER"}
    headers = {"Prefer": "wait=60"}
    made = service.request("POST", "/api/v1/imports", data=form, files=files, headers=headers).json()
    assert made["counts"]["created"] == len(FOREIGN)
    items = service.request("GET", f"/api/v1/imports/{made['id']}/items").json()["items"]
    return {item["identity"]: item["certificate_id"] for item in items}


class TestLive:
    pytestmark = LIVE

    def test_the_collection_runs_in_its_folder_as_its_readme_says(self, tmp_path: Path) -> None:
        with LiveService(tmp_path / "data") as service:
            done = run_as_printed(service, tmp_path / "checkout")
            left = service.request("GET", "/api/v1/certificates?state=current").json()["items"]
            policies = service.request("GET", "/api/v1/vpn-policies").json()["items"]
            deployments = service.request("GET", "/api/v1/deployments").json()["counts"]
        report = report_of(tmp_path / "checkout")

        assert done.returncode == 0, done.stdout + done.stderr
        assert report["failures"] == []
        ran = {each["item"]["name"] for each in report["executions"]}
        assert ran == {item["name"] for item in collection()}
        assert report["stats"]["assertions"]["total"] >= len(collection())
        assert left == policies == []
        assert deployments.keys() <= {"removed", "superseded"}
        assert {file.name for file in (tmp_path / "checkout").iterdir()} == {
            "bulkcert-data", "docs", "report.json", "sample_bundles",
        }  # fmt: skip

    def test_it_touches_no_device_of_others_and_no_deployer_carries_one(self, tmp_path: Path) -> None:
        with LiveService(tmp_path / "data") as service:
            kept = keep_foreign_devices(service)
            with ExampleDeployer(service, tmp_path / "devices") as deployer:
                done = run_as_printed(service, tmp_path / "checkout")
            certificates = {
                name: service.request("GET", f"/api/v1/certificates/{kept[name]}").json()["state"]
                for name in FOREIGN
            }
        with closing(sqlite3.connect(tmp_path / "data" / "bulkcert.sqlite3")) as database:
            released = database.execute("SELECT facts FROM events WHERE number = 7010").fetchall()
            deployments = database.execute("SELECT identity FROM deployments").fetchall()

        assert certificates == dict.fromkeys(FOREIGN, "current")
        assert released
        assert [facts for (facts,) in released if any(name in facts for name in FOREIGN)] == []
        assert {identity for (identity,) in deployments} == set(OWN)
        assert deployer.runs > 1
        assert deployer.carried <= set(OWN)
        assert done.returncode == 0, done.stdout + done.stderr
        assert report_of(tmp_path / "checkout")["failures"] == []


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
