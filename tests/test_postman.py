"""The Postman collection runs from its first request to its last, by newman, against the shipped service."""

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from tests.api.contract import document
from tests.builders import a_credentials_file, a_pkcs12, a_zip
from tests.live import LIVE, LiveService

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "postman"
COLLECTION = FOLDER / "bulkcert.postman_collection.json"
ENVIRONMENT = FOLDER / "bulkcert.postman_environment.json"
README = FOLDER / "README.md"
OWN = ("A12BC3D4EFGH", "B98ZY7X6WVUT", "C02X12YZJHD4")
"""The devices of `sample_bundles/serial-numbers.zip`."""


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


def run_as_printed(service: LiveService, place: Path) -> subprocess.CompletedProcess[str]:
    """Run the commands of the collection's README in a copy of its folder that lies in another checkout."""
    [settings, commands] = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
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


class OwnDeployer:
    """A client that carries all deployments that it gets, as docs/deployer.py does, until the end."""

    def __init__(self, service: LiveService) -> None:
        scopes = ["deployments:write", "keys:release"]
        made = service.request("POST", "/api/v1/clients", json={"name": "deployer", "scopes": scopes}).json()
        self._base_url = service.base_url
        self._client = service.client()
        token = self._client.post(
            f"{self._base_url}/api/v1/token",
            data={"grant_type": "client_credentials"},
            auth=(made["client_id"], made["client_secret"]),
            timeout=60,
        ).json()
        self._client.headers["Authorization"] = f"Bearer {token['access_token']}"
        self.carried: set[str] = set()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            for item in self._post("/api/v1/deployments/lease", max=50)["items"]:
                self._carry(item)

    def _carry(self, item: dict[str, Any]) -> None:
        self.carried.add(item["deployment"]["identity"])
        lease, report = item["lease"], f"/api/v1/deployments/{item['deployment']['id']}/report"
        if item["action"] == "remove":
            self._post(report, lease=lease, state="removed")
            return
        answer = self._send(item["profile"], lease=lease)
        seen = answer.headers.get("X-Certificate-Sha256")  # none where the deployment has changed meanwhile
        self._post(report, lease=lease, state="installed", certificate_sha256=seen or "0" * 64)

    def _post(self, path: str, **members: object) -> Any:
        return self._send(path, **members).json()

    def _send(self, path: str, **members: object) -> requests.Response:
        return self._client.post(self._base_url + path, json=members, timeout=60)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(60)
        self._client.close()


FOREIGN = ("FOREIGN0DEVICE", "D56EF7G8HJKL")
"""Somebody else's devices; the second stands in `sample_bundles/deletion-list.txt`."""


def keep_foreign_devices(service: LiveService) -> dict[str, str]:
    """Import two devices that the collection does not know; return the id of each one's certificate."""
    entries = {f"{name}.p12": a_pkcs12(name, "a password") for name in FOREIGN}
    entries["credential.txt"] = a_credentials_file(dict.fromkeys(FOREIGN, "a password"))
    files = {"bundle": ("devices.zip", a_zip(entries))}
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
            with OwnDeployer(service) as deployer:
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
