import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from bulkcert import errors
from bulkcert.api.citrix.envelopes import bulk_envelope, certificates_envelope, refusal_envelope
from bulkcert.values.bulk_requests import (
    BulkRequest,
    Counts,
    Item,
    Outcome,
    RequestKind,
    RequestState,
    Result,
)
from bulkcert.values.certificates import (
    CertificateFacts,
    CertificateState,
    ChainCertificate,
    DeviceCertificate,
    KeyType,
    Name,
)
from bulkcert.values.identities import DeviceIdentity, IdentityType

NOW = datetime(2017, 5, 12, 23, 30, tzinfo=UTC)
FACTS = CertificateFacts(
    fingerprint_sha256="0" * 64,
    public_key_sha256="1" * 64,
    serial_number="1361129467683753853853498429727072845823",
    subject=Name(
        "CN=A12BC3D4EFGH,OU=Fleet,O=Example,C=DE", "A12BC3D4EFGH", None, "Fleet", "Example", country="DE"
    ),
    issuer=Name("CN=Test CA", "Test CA"),
    subject_alternative_names=(),
    not_before=datetime(2016, 11, 14, 23, 59, tzinfo=UTC),
    not_after=datetime(2017, 11, 14, 23, 59, tzinfo=UTC),
    key_type=KeyType.EC,
    key_size=256,
    signature_algorithm="ecdsa-with-SHA256",
)
DEVICE = DeviceCertificate(
    id=450,
    identity=DeviceIdentity.parse(IdentityType.SERIAL_NUMBER, "A12BC3D4EFGH"),
    state=CertificateState.CURRENT,
    facts=FACTS,
    chain_ids=(451,),
    import_id="import-1",
    created_at=NOW,
    superseded_at=None,
    deleted_at=None,
)
CHAIN = ChainCertificate(451, dataclasses.replace(FACTS, subject=Name("O=Nameless")), NOW)


def a_bulk_request(kind=RequestKind.IMPORT, **counts):
    counts = Counts(**counts)
    return BulkRequest(
        "id-1", kind, None, RequestState.SUCCEEDED, counts, None, "administrator", NOW, NOW, NOW
    )


def a_failed_item(position):
    result = Result(Outcome.FAILED, "wrong_password", "The password does not open the file.")
    return Item(position, f"{position}.p12", str(position), result)


@pytest.mark.parametrize(
    ("counts", "status", "message", "success", "failed", "skip"),
    [
        ({"total": 3, "created": 2, "replaced": 1}, 0, "Success", "3", "0", "0"),
        ({"total": 5, "unchanged": 3, "ignored": 2}, 0, "Success", "0", "0", "3"),
        (
            {"total": 12, "created": 8, "failed": 2, "ignored": 2},
            0,
            "2 of 10 failed: see failures",
            "8",
            "2",
            "0",
        ),
        ({"total": 3, "unchanged": 1, "failed": 2}, 0, "2 of 3 failed: see failures", "0", "2", "1"),
        ({"total": 4, "failed": 2, "ignored": 2}, 1, "2 of 2 failed: see failures", "0", "2", "0"),
        ({"total": 3, "deleted": 2, "not_found": 1}, 0, "Success", "2", "0", "1"),
    ],
)
def test_counts_become_strings_and_one_number(counts, status, message, success, failed, skip):
    envelope = bulk_envelope(a_bulk_request(**counts), ())

    assert envelope == {
        "status": status,
        "message": message,
        "successCount": success,
        "failedCount": failed,
        "skipCount": skip,
        "importId": "id-1",
        "failures": [],
    }
    assert list(envelope)[:5] == ["status", "message", "successCount", "failedCount", "skipCount"]


def test_a_deletion_is_named_as_one():
    envelope = bulk_envelope(a_bulk_request(RequestKind.DELETION, total=1, deleted=1), ())

    assert envelope["deletionId"] == "id-1"
    assert "importId" not in envelope


def test_the_first_hundred_failures_are_named():
    failures = [a_failed_item(position) for position in range(101)]

    named = bulk_envelope(a_bulk_request(total=200, failed=101, created=99), failures)["failures"]

    assert len(named) == 100
    assert named[0] == {
        "file": "0.p12",
        "identity": "0",
        "code": "wrong_password",
        "message": "The password does not open the file.",
    }


def test_a_refusal_says_what_was_wrong_and_what_to_do():
    refusal = errors.NotAZip(
        "The uploaded file is not a zip.", (errors.Fault("uploadFile", "begins with text"),)
    )

    assert refusal_envelope(refusal, 400) == {
        "status": 400,
        "message": f"The uploaded file is not a zip. uploadFile: begins with text {errors.NotAZip.remedy}",
        "code": "not_a_zip",
    }


def test_a_missing_token_points_to_the_login_of_this_api():
    envelope = refusal_envelope(errors.Unauthenticated("There is no token."), 401)

    assert "/xenmobile/api/v1/authentication/login" in envelope["message"]
    assert "/api/v1/sessions" not in envelope["message"]


def test_work_that_goes_on_is_named():
    assert refusal_envelope(errors.StillRunning("Not done yet.", "id-1"), 503)["importId"] == "id-1"


def test_the_certificate_list_is_envelope_e():
    text = "".join(certificates_envelope([DEVICE, CHAIN], NOW))

    envelope = json.loads(text)
    assert list(envelope) == [
        "status",
        "message",
        "csrId",
        "csrRequest",
        "apnsCheck",
        "certificate",
        "apnsCheckObj",
    ]
    assert envelope | {"certificate": None} == {
        "status": 0,
        "message": "Success",
        "csrId": 0,
        "csrRequest": None,
        "apnsCheck": None,
        "certificate": None,
        "apnsCheckObj": {
            "topicNameMismatch": False,
            "certExpired": False,
            "certNotYetValid": False,
            "malformed": False,
        },
    }


def test_a_device_certificate_is_listed_with_its_device():
    entry = json.loads("".join(certificates_envelope([DEVICE], NOW)))["certificate"][0]

    assert list(entry) == [
        "name",
        "description",
        "remainingDays",
        "validFrom",
        "validTo",
        "type",
        "isActive",
        "privateKey",
        "ca",
        "id",
        "certDetails",
        "identityType",
        "deviceIdentity",
    ]
    assert entry == {
        "name": "A12BC3D4EFGH",
        "description": None,
        "remainingDays": 186,
        "validFrom": "2016-11-14",
        "validTo": "2017-11-14",
        "type": "entity",
        "isActive": False,
        "privateKey": "true",
        "ca": None,
        "id": 450,
        "certDetails": {
            "signatureAlgo": "ecdsa-with-SHA256",
            "version": None,
            "serialNum": "1361129467683753853853498429727072845823",
            "issuerName": {
                "certString": "CN=Test CA",
                "emailAddress": None,
                "commonName": "Test CA",
                "orgUnit": None,
                "org": None,
                "locality": None,
                "state": None,
                "country": None,
                "description": None,
            },
            "subjectName": {
                "certString": "CN=A12BC3D4EFGH,OU=Fleet,O=Example,C=DE",
                "emailAddress": None,
                "commonName": "A12BC3D4EFGH",
                "orgUnit": "Fleet",
                "org": "Example",
                "locality": None,
                "state": None,
                "country": "DE",
                "description": None,
            },
        },
        "identityType": "SERIAL_NUMBER",
        "deviceIdentity": "A12BC3D4EFGH",
    }


def test_a_chain_certificate_has_no_device_and_no_key():
    entry = json.loads("".join(certificates_envelope([CHAIN], NOW)))["certificate"][0]

    assert (entry["type"], entry["privateKey"], entry["id"], entry["name"]) == (
        "chain",
        "false",
        451,
        "O=Nameless",
    )
    assert "deviceIdentity" not in entry


def test_an_expired_certificate_has_negative_days():
    entry = json.loads("".join(certificates_envelope([DEVICE], NOW + timedelta(days=200))))["certificate"][0]

    assert entry["remainingDays"] == -14


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 250])
def test_a_list_of_any_length_is_one_document(number):
    pieces = list(certificates_envelope((dataclasses.replace(DEVICE, id=n) for n in range(number)), NOW))

    entries = json.loads("".join(pieces))["certificate"]
    assert [entry["id"] for entry in entries] == list(range(number))
    assert max(piece.count('"id":') for piece in pieces) <= 100


@pytest.mark.parametrize("number", [0, 1, 100, 150])
def test_a_list_that_breaks_off_is_not_a_document(number):
    def breaking():
        yield from [DEVICE] * number
        raise errors.Unavailable("The database does not answer.")

    written = ""
    with pytest.raises(errors.Unavailable):
        for piece in certificates_envelope(breaking(), NOW):
            written += piece

    with pytest.raises(json.JSONDecodeError):
        json.loads(written)
