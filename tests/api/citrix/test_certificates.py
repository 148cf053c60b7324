import json

import pytest

from bulkcert.errors import Unavailable
from bulkcert.values.principals import Scope
from tests.api.citrix.conftest import BASE, a_citrix_caller, refusal_of
from tests.builders import a_bundle, a_ca

OF_SERIALS = '{"identityType":"SERIAL_NUMBER"}'
SERIALS = ("A12BC3D4EFGH", "B12BC3D4EFGH")
PATHS = ["/certificates", "/certificates/"]


@pytest.fixture
def kept(citrix, worker):
    with worker.working():
        assert citrix.upload(a_bundle(SERIALS), OF_SERIALS).json["successCount"] == "2"


@pytest.mark.parametrize("path", PATHS)
def test_nothing_kept_is_an_empty_list(citrix, path):
    answer = citrix.get(path)

    assert answer.mimetype == "application/json"
    assert answer.json["status"] == 0
    assert answer.json["certificate"] == []


@pytest.mark.parametrize("path", PATHS)
def test_device_certificates_and_each_chain_certificate_are_listed_once(citrix, kept, path):
    entries = citrix.get(path).json["certificate"]

    devices = [entry for entry in entries if entry["type"] == "entity"]
    [chain] = [entry for entry in entries if entry["type"] == "chain"]
    assert [(entry["identityType"], entry["deviceIdentity"]) for entry in devices] == [
        ("SERIAL_NUMBER", SERIALS[0]),
        ("SERIAL_NUMBER", SERIALS[1]),
    ]
    assert all(entry["privateKey"] == "true" and 364 <= entry["remainingDays"] <= 365 for entry in devices)
    assert chain["privateKey"] == "false"
    assert chain["certDetails"]["serialNum"] == str(a_ca()[0].serial_number)
    assert chain["certDetails"]["subjectName"] == devices[0]["certDetails"]["issuerName"]
    assert len({entry["id"] for entry in entries}) == 3


@pytest.mark.parametrize("body", [b"null", b"", b"{}", b"{", b"\x00"])
def test_a_body_on_get_is_ignored(citrix, body):
    answer = citrix.get("/certificates", data=body, content_type="application/json")

    assert answer.json["status"] == 0


@pytest.mark.parametrize("path", PATHS)
def test_the_list_needs_its_scope(app, service, path):
    without = a_citrix_caller(app, service, set(Scope) - {Scope.CERTIFICATES_READ})

    assert refusal_of(without.get(path)) == (403, "insufficient_scope")
    assert a_citrix_caller(app, service, {Scope.CERTIFICATES_READ}).get(path).status_code == 200


def test_a_head_request_has_no_body(citrix, kept):
    answer = citrix.open("HEAD", "/certificates")

    assert (answer.status_code, answer.data) == (200, b"")


def break_after(monkeypatch, service, number, error):
    kept = list(service.inventory.current_certificates()) * 100

    def breaking(_self):
        yield from kept[:number]
        raise error

    monkeypatch.setattr(type(service.inventory), "current_certificates", breaking)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("The database does not answer."), (503, "unavailable")),
        (KeyError("secret"), (500, "internal_fault")),
    ],
)
def test_an_error_before_the_first_piece_has_its_own_status(
    citrix, service, kept, monkeypatch, error, expected
):
    break_after(monkeypatch, service, 10, error)

    answer = citrix.get("/certificates")

    assert refusal_of(answer) == expected
    assert "secret" not in answer.text


def test_a_list_that_breaks_off_ends_as_no_document(citrix, service, kept, monkeypatch):
    break_after(monkeypatch, service, 250, Unavailable("The database does not answer."))
    answer = citrix.client.get(BASE + "/certificates", headers={"Auth_token": citrix.token}, buffered=False)

    written = b""
    with pytest.raises(Unavailable):
        for piece in answer.response:
            written += piece

    assert answer.status_code == 200
    assert written.count(b'"certDetails"') == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(written)
