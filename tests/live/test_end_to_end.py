"""The main job on the shipped service, over HTTPS, through both APIs. Reads like the manual."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.builders import a_bundle, a_credentials_file, a_pkcs12, a_zip
from tests.live.service import LIVE, LiveService
from tests.live.witnesses import by_keytool, by_openssl

pytestmark = LIVE

CITRIX_IMPORT = {
    "alias": "",
    "useAs": "device",
    "uploadType": "keystore",
    "keystoreType": "PKCS12",
    "identityType": "SERIAL_NUMBER",
    "credentialFileName": "credential.txt",
}


class Client:
    """What an administrator's script does, in both APIs."""

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.http = service.client(service.token)
        answer = self.http.post(
            f"{service.base_url}/xenmobile/api/v1/authentication/login",
            json={"login": "administrator", "password": service.password},
        )
        self.auth_token = answer.json()["auth_token"]

    def upload(self, bundle: bytes, prefer: str = "wait=60") -> requests.Response:
        return self.http.post(
            f"{self.service.base_url}/api/v1/imports",
            headers={"Prefer": prefer},
            data={"identity_type": "SERIAL_NUMBER"},
            files={"bundle": ("bundle.zip", bundle, "application/zip")},
        )

    def get(self, path: str) -> dict[str, object]:
        answer = self.http.get(self.service.base_url + path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def finished(self, import_id: object) -> dict[str, object]:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            found = self.get(f"/api/v1/imports/{import_id}")
            if found["finished_at"]:
                return found
            time.sleep(0.2)
        raise AssertionError(f"the import did not finish: {found}")

    def outcomes(self, import_id: object) -> dict[str, str]:
        found: dict[str, str] = {}
        cursor = ""
        while cursor is not None:
            page = self.get(f"/api/v1/imports/{import_id}/items?limit=1000{cursor}")
            found |= {item["identity"]: item["code"] or item["outcome"] for item in page["items"]}  # type: ignore[attr-defined]
            cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None  # type: ignore[assignment]
        return found

    def current(self) -> set[str]:
        found: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(f"/api/v1/certificates?state=current&limit=1000{cursor}")
            found |= {item["identity"] for item in page["items"]}  # type: ignore[attr-defined]
            cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
        return found

    def citrix(self, path: str, part: str, fields: object, file: bytes) -> dict[str, object]:
        answer = self.http.post(
            f"{self.service.base_url}/xenmobile/api/v1/certificates/{path}/keystore/device",
            headers={"Auth_token": self.auth_token},
            data={part: fields if isinstance(fields, str) else json.dumps(fields)},
            files={"uploadFile": ("upload.zip", file, "application/octet-stream")},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def citrix_import(self, bundle: bytes) -> dict[str, object]:
        return self.citrix("import", "certImportData", CITRIX_IMPORT, bundle)

    def citrix_remove(self, file: bytes) -> dict[str, object]:
        return self.citrix("remove", "certRemoveData", '{"identityType":"SERIAL_NUMBER",}', file)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LiveService]:
    """A service of this test's own, so that counts are exact."""
    with LiveService(tmp_path / "service") as service:
        yield service


@pytest.fixture
def client(service: LiveService) -> Client:
    return Client(service)


def counts(answer: dict[str, object]) -> tuple[object, ...]:
    return answer["successCount"], answer["failedCount"], answer["skipCount"]


def test_files_of_four_makers_in_one_zip_import_through_both_apis(client: Client, tmp_path: Path) -> None:
    passwords = {
        "OPENSSL00001": "pass=word #1",
        "OPENSSL00002": "legacy pass",
        "KEYTOOL00001": "keytool-pass",
        "PYTHON000001": "password1!",
    }
    entries = {
        "OPENSSL00001.p12": by_openssl(tmp_path / "1", "OPENSSL00001", passwords["OPENSSL00001"]),
        "OPENSSL00002.p12": by_openssl(tmp_path / "2", "OPENSSL00002", passwords["OPENSSL00002"], "-legacy"),
        "KEYTOOL00001.p12": by_keytool(tmp_path / "3", "KEYTOOL00001", passwords["KEYTOOL00001"]),
        "PYTHON000001.p12": a_pkcs12("PYTHON000001", passwords["PYTHON000001"]),
        "credential.txt": a_credentials_file(passwords),
    }
    bundle = a_zip(entries)
    answer = client.upload(bundle)

    assert answer.status_code == 201
    assert client.outcomes(answer.json()["id"]) == dict.fromkeys(passwords, "created")
    assert answer.json()["counts"]["created"] == 4
    assert counts(client.citrix_import(bundle)) == ("0", "0", "4")
    assert counts(client.citrix_remove("\n".join(passwords).encode())) == ("4", "0", "0")
    assert counts(client.citrix_import(bundle)) == ("4", "0", "0")
    assert client.current() == set(passwords)


def test_a_thousand_certificates_come_stay_and_go_with_exact_counts(client: Client) -> None:
    serials = [f"SERIAL{number:06}" for number in range(1000)]
    bundle = a_bundle(serials)
    first = client.upload(bundle)
    done = client.finished(first.json()["id"])

    assert done["state"] == "succeeded"
    assert (done["counts"]["total"], done["counts"]["created"]) == (1000, 1000)  # type: ignore[index]
    again = client.finished(client.upload(bundle).json()["id"])
    assert again["counts"]["unchanged"] == 1000  # type: ignore[index]
    assert counts(client.citrix_import(bundle)) == ("0", "0", "1000")
    assert counts(client.citrix_remove("\r\n".join(serials[:400]).encode())) == ("400", "0", "0")
    assert client.current() == set(serials[400:])


def ended(client: Client, import_id: object) -> tuple[dict[str, object], set[str]]:
    return client.finished(import_id), client.current()


@pytest.mark.parametrize("kill", ["a stop", "a kill -9 of a worker"])
def test_a_stop_in_the_middle_of_an_import_loses_nothing(
    service: LiveService, client: Client, kill: str
) -> None:
    serials = [f"SERIAL{number:06}" for number in range(600)]
    answer = client.upload(a_bundle(serials), prefer="respond-async")
    assert answer.status_code == 202
    if kill == "a stop":
        assert service.stop() == 0
        with LiveService(service.data_dir) as restarted:
            done, current = ended(Client(restarted), answer.json()["id"])
    else:
        os.kill(service.worker_pids[0], signal.SIGKILL)
        done, current = ended(client, answer.json()["id"])

    assert (done["state"], done["counts"]["created"], done["counts"]["total"]) == ("succeeded", 600, 600)  # type: ignore[index]
    assert current == set(serials)


PRINTED_IMPORT = """{
    "alias": "",
    "useAs": "device",
    "uploadType": "keystore",
    "keystoreType": "PKCS12",
    "identityType":"SERIAL_NUMBER",  # identity type can be "SERIAL_NUMBER","IMEI","MEID"
    "credentialFileName":"credential.txt"  # credential file name in .zip
}"""


def test_the_printed_bodies_are_accepted_as_they_stand(client: Client) -> None:
    imported = client.citrix("import", "certImportData", PRINTED_IMPORT, a_bundle(["A12BC3D4EFGH"]))
    removed = client.citrix(
        "remove", "certRemoveData", '{"identityType"="device_identity_value"}', b"A12BC3D4EFGH\n"
    )

    assert counts(imported) == ("1", "0", "0")
    assert counts(removed) == ("1", "0", "0")
