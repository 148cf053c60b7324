"""What is kept, as `/api/v1` shows it."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, Worker
from tests.api.v1.test_deletions import delete
from tests.api.v1.test_imports import FIRST, SECOND, THIRD, imported
from tests.builders import a_bundle, a_ca, a_certificate, a_pkcs12, an_ec_key


def listed(caller: ApiCaller, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(f"/api/v1/certificates{query}")
    assert answer.status_code == 200
    assert answer.json is not None
    return list(answer.json["items"])


def test_a_certificate_is_shown_with_what_it_says(caller: ApiCaller, worker: Worker) -> None:
    key = an_ec_key()
    made = a_certificate(key, FIRST, dns_names=["device.example"])
    done = imported(caller, worker, a_bundle([FIRST], files={FIRST: a_pkcs12(key=key, certificate=made)}))
    [certificate] = listed(caller)

    assert caller.get(f"/api/v1/certificates/{certificate['id']}").json == certificate
    assert certificate.pop("id").isdigit()
    assert len(certificate.pop("chain")) == 1
    assert certificate.pop("created_at").endswith("Z")
    assert certificate == {
        "identity_type": "SERIAL_NUMBER",
        "identity": FIRST,
        "state": "current",
        "subject": f"CN={FIRST}",
        "issuer": a_ca()[0].subject.rfc4514_string(),
        "serial_number": str(made.serial_number),
        "not_before": made.not_valid_before_utc.isoformat().replace("+00:00", "Z"),
        "not_after": made.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
        "fingerprint_sha256": made.fingerprint(made.signature_hash_algorithm).hex(),  # type: ignore[arg-type]
        "key_type": "EC",
        "key_size": 256,
        "subject_alternative_names": certificate["subject_alternative_names"],
        "subject_alternative_names_total": 1,
        "shown_in_part": False,
        "signature_algorithm": certificate["signature_algorithm"],
        "import_id": done["id"],
        "superseded_at": None,
        "deleted_at": None,
    }
    [name] = certificate["subject_alternative_names"]
    assert "device.example" in name
    assert isinstance(made, x509.Certificate)


def test_a_certificate_that_was_replaced_or_deleted_stays_in_the_history(
    caller: ApiCaller, worker: Worker
) -> None:
    for _ in range(2):
        imported(caller, worker, a_bundle([FIRST]))
    delete(caller, FIRST)
    imported(caller, worker, a_bundle([FIRST]))

    assert [each["state"] for each in listed(caller)] == ["deleted", "deleted", "current"]
    for each in listed(caller, "?state=deleted"):
        assert each["deleted_at"] is not None
        assert caller.get(f"/api/v1/certificates/{each['id']}").json == each


def test_superseded_certificates_say_when(caller: ApiCaller, worker: Worker) -> None:
    for _ in range(2):
        imported(caller, worker, a_bundle([FIRST]))
    [superseded] = listed(caller, "?state=superseded")

    assert superseded["superseded_at"] is not None


@pytest.fixture
def three(caller: ApiCaller, worker: Worker) -> ApiCaller:
    imported(caller, worker, a_bundle([FIRST, SECOND, THIRD]))
    return caller


@pytest.mark.parametrize(
    ("query", "identities"),
    [
        ("", [FIRST, SECOND, THIRD]),
        (f"?identity={SECOND}", [SECOND]),
        (f"?identity={SECOND.lower()}&identity_type=SERIAL_NUMBER", [SECOND]),
        ("?identity_type=SERIAL_NUMBER", [FIRST, SECOND, THIRD]),
        ("?identity_type=IMEI", []),
        (f"?identity_type=SERIAL_NUMBER&identity={THIRD}&state=current", [THIRD]),
        ("?state=superseded", []),
        ("?identity=unknown", []),
        ("?limit=1000", [FIRST, SECOND, THIRD]),
        ("?expires_before=2000-01-01", []),
        ("?expires_before=9000-01-01", [FIRST, SECOND, THIRD]),
        ("?expires_before=9000-01-01T00:00:00Z&state=current", [FIRST, SECOND, THIRD]),
        ("?expires_before=9999-12-31t23:59:59.999999z", [FIRST, SECOND, THIRD]),
        ("?expires_before=9000-01-01T00:00:00%2B14:00", [FIRST, SECOND, THIRD]),
        ("?expires_before=1000-01-01T00:00:00-23:59", []),
        ("?issuer=test%20ca", [FIRST, SECOND, THIRD]),
        ("?issuer=nobody", []),
        (f"?q={SECOND[:4].lower()}", [SECOND]),
        ("?q=cn%3D", [FIRST, SECOND, THIRD]),
        ("?q=%25", []),
        ("?q=_", []),
        ("?q=" + "x" * 1024, []),
        (
            f"?q={THIRD}&issuer=CA&expires_before=9000-01-01&state=current&identity_type=SERIAL_NUMBER",
            [THIRD],
        ),
        (f"?q={THIRD}&identity={SECOND}", []),
        ("?fingerprint_sha256=" + "0" * 64, []),
    ],
)
def test_filters_choose(three: ApiCaller, query: str, identities: list[str]) -> None:
    assert [certificate["identity"] for certificate in listed(three, query)] == identities


def test_a_fingerprint_is_read_as_tools_write_it(three: ApiCaller) -> None:
    found = listed(three)[1]
    plain = found["fingerprint_sha256"]
    colons = ":".join(plain[at : at + 2] for at in range(0, 64, 2))

    for written in (plain, plain.upper(), colons, colons.upper()):
        assert listed(three, f"?fingerprint_sha256={written}") == [found]


def test_a_certificate_expires_before_a_moment_in_any_zone(caller: ApiCaller, worker: Worker) -> None:
    key = an_ec_key()
    made = a_certificate(key, FIRST, not_after=datetime(2049, 5, 1, 12, tzinfo=UTC))
    imported(caller, worker, a_bundle([FIRST], files={FIRST: a_pkcs12(key=key, certificate=made)}))

    def expires_before(moment: str) -> bool:
        return bool(listed(caller, f"?expires_before={moment}"))

    assert not expires_before("2049-05-01")
    assert expires_before("2049-05-02")
    assert not expires_before("2049-05-01T12:00:00Z")
    assert expires_before("2049-05-01T12:00:00.1Z")
    assert expires_before("2049-05-01T12:00:01z")
    assert not expires_before("2049-05-01T14:00:00%2B02:00")
    assert expires_before("2049-05-01T07:00:01-05:00")


def test_pages_keep_to_the_filters(three: ApiCaller) -> None:
    page = three.get("/api/v1/certificates?q=12bc&limit=2").json
    assert page is not None
    rest = listed(three, f"?q=12bc&limit=2&cursor={page['next_cursor']}")

    assert [each["identity"] for each in page["items"] + rest] == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_hold_each_certificate_once(three: ApiCaller, limit: int) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        page = three.get(f"/api/v1/certificates?limit={limit}{cursor}").json
        assert page is not None
        assert len(page["items"]) <= limit
        found += [each["identity"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert found == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        *((f"expires_before={moment}", 400, "malformed_request") for moment in (
            "", "x", "2027", "2027-01", "20270101", "2027-W01-1", "2027-13-01", "2027-02-29", "0000-01-01", "27-01-01",
            "2027-01-01T00:00:00", "2027-01-01T00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:00:00+01:00",
            "2027-01-01T00:00:00%2B0100", "2027-01-01T00:00:00%2B25:00", "2027-01-01%20", "1798761600",
            "9999-12-31T23:59:59-01:00", "%D9%A2027-01-01", "2027-01-01T00:00:00.Z")),
        *((f"fingerprint_sha256={digits}", 400, "malformed_request") for digits in (
            "", "x", "a" * 63, "a" * 65, "g" * 64, "aa:" * 32, ":".join(["aa"] * 31), "aaaa:" + "a" * 60,
            "a" * 64 + "%0A", "%D9%A1" * 64)),
        *((f"{name}={text}", 400, "malformed_request") for name in ("issuer", "q") for text in (
            "", "%00", "a%00b", "x" * 1025)),
        ("text=x", 400, "malformed_request"),
        *((f"limit={limit}", 400, "malformed_request") for limit in ("0", "1001", "-1", "1_0", "1.0", "+1", " 1",
                                                                      "x", "", "9" * 5000, "%D9%A1", "%00")),
        *((f"cursor={cursor}", 400, "malformed_request") for cursor in ("", "x", "!!", "x" * 600, "%00", "%ff",
                                                                         "%F0%9F%98%80")),
        ("identity_type=UDID", 422, "unknown_identity_type"),
        ("identity_type=IMEI&identity=1", 422, "invalid_identity"),
        ("identity=", 400, "malformed_request"),
        ("identity=%00", 400, "malformed_request"),
        ("identity=" + "x" * 256, 400, "malformed_request"),
        ("state=gone", 400, "malformed_request"),
        ("state=Current", 400, "malformed_request"),
        ("surprise=1", 400, "malformed_request"),
        ("limit=1&limit=2", 400, "malformed_request"),
        ("a[b]=1", 400, "malformed_request"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_used_is_refused(
    refused: ApiCaller, query: str, status: int, code: str
) -> None:
    answer = refused.get(f"/api/v1/certificates?{query}")

    assert answer.json is not None
    assert (answer.status_code, answer.json.get("code")) == (status, code)


@pytest.mark.parametrize(
    "certificate_id",
    ["0", "-1", "01", "1.0", "1e3", "x", "99999999999999999999999", "9" * 5000, "%00", "%ff", "%D9%A1", "1%20", "..",
     "999999"],
)  # fmt: skip
def test_an_unknown_id_and_a_malformed_one_answer_alike(refused: ApiCaller, certificate_id: str) -> None:
    answer = refused.get(f"/api/v1/certificates/{certificate_id}")
    expected = refused.get("/api/v1/certificates/123456").json

    assert answer.status_code == 404
    assert answer.json is not None
    assert expected is not None
    assert answer.json | {"instance": ""} == expected | {"instance": ""}


def test_a_certificate_of_a_chain_is_no_device_certificate(caller: ApiCaller, worker: Worker) -> None:
    imported(caller, worker, a_bundle([FIRST]))
    [certificate] = listed(caller)

    assert caller.get(f"/api/v1/certificates/{certificate['chain'][0]}").status_code == 404


def test_limits_are_published_by_name(caller: ApiCaller, service: Service) -> None:
    assert caller.get("/api/v1/limits").json == dataclasses.asdict(service.limits)
