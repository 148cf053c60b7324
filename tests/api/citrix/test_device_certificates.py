import json
import threading

import pytest
from structlog.testing import capture_logs

from bulkcert.values.principals import SCOPES_OF, Role, Scope
from tests.api.citrix.conftest import BOUNDARY, a_body, a_citrix_caller, a_field, a_file, refusal_of
from tests.api.conftest import a_worker, an_app
from tests.builders import a_bundle, a_pkcs12, a_zip

IMPORT = "/certificates/import/keystore/device"
REMOVE = "/certificates/remove/keystore/device"
SERIALS = ("A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH")
OF_SERIALS = '{"identityType":"SERIAL_NUMBER"}'
PRINTED_IMPORT = """{
    "alias": "",
    "useAs": "device",
    "uploadType": "keystore",
    "keystoreType": "PKCS12",
    "identityType":"SERIAL_NUMBER",  # identity type can be "SERIAL_NUMBER","IMEI","MEID"
    "credentialFileName":"credential.txt"  # credential file name in .zip
}"""
PLAIN_IMPORT = (
    '{"alias":"","useAs":"device","uploadType":"keystore","keystoreType":"PKCS12",'
    '"identityType":"SERIAL_NUMBER","credentialFileName":"credential.txt"}'
)
PRINTED_REMOVAL = '{"identityType"="device_identity_value"}'


def typed_variants(body):
    """A body as printed, with a trailing comma, and with each kind of quote."""
    without_notes = "\n".join(line.partition("  #")[0] for line in body.splitlines())
    trailing = without_notes.rstrip()[:-1].rstrip() + ",\n}"
    single = trailing.replace('"', "'")
    curly = "".join(("“”"[n % 2 - 1] if n else "") + part for n, part in enumerate(trailing.split('"')))
    return [body, without_notes, trailing, single, curly, body.replace("\n", "\r\n")]


@pytest.fixture
def working(worker):
    with worker.working():
        yield


@pytest.fixture
def keep(citrix, working):
    def keep(*identities, bundle=None, members=OF_SERIALS):
        answer = citrix.upload(bundle or a_bundle(identities), members)
        assert answer.status_code == 200
        return answer.json

    return keep


def counts(answer):
    return tuple(answer.json[name] for name in ("status", "successCount", "failedCount", "skipCount"))


def listed(citrix):
    entries = citrix.get("/certificates").json["certificate"]
    return sorted(entry["deviceIdentity"] for entry in entries if entry["type"] == "entity")


# --- import -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [*typed_variants(PRINTED_IMPORT), PLAIN_IMPORT, OF_SERIALS])
def test_the_printed_import_body_is_accepted(citrix, working, members):
    answer = citrix.upload(a_bundle(SERIALS[:1]), members)

    assert answer.status_code == 200
    assert counts(answer) == (0, "1", "0", "0")
    assert answer.json["message"] == "Success"
    assert listed(citrix) == [SERIALS[0]]


def test_the_same_bundle_again_is_skipped_and_another_certificate_replaces(citrix, working):
    bundle = a_bundle(SERIALS)
    first, again = citrix.upload(bundle, OF_SERIALS), citrix.upload(bundle, OF_SERIALS)
    renewed = citrix.upload(a_bundle(SERIALS), OF_SERIALS)

    assert [counts(answer) for answer in (first, again, renewed)] == [
        (0, "3", "0", "0"),
        (0, "0", "0", "3"),
        (0, "3", "0", "0"),
    ]
    assert len({answer.json["importId"] for answer in (first, again, renewed)}) == 3


def test_failures_are_counted_and_named_and_the_rest_goes_on(citrix, working):
    files = {SERIALS[1]: a_pkcs12(SERIALS[1], "another password"), SERIALS[2]: b"not a PKCS#12"}

    answer = citrix.upload(a_bundle([*SERIALS, "short"], files=files, extra={".DS_Store": b""}), OF_SERIALS)

    assert counts(answer) == (0, "1", "3", "0")
    assert answer.json["message"] == "3 of 4 failed: see failures"
    failures = {failure["identity"]: failure for failure in answer.json["failures"]}
    assert {identity: failure["code"] for identity, failure in failures.items()} == {
        SERIALS[1]: "wrong_password",
        SERIALS[2]: "not_pkcs12",
        "short": "invalid_identity",
    }
    assert failures[SERIALS[1]]["file"] == f"{SERIALS[1]}.p12"
    assert failures[SERIALS[1]]["message"]
    assert "password1!" not in answer.text


def test_a_bundle_of_which_everything_fails_has_status_1(citrix, working):
    answer = citrix.upload(a_bundle(SERIALS[:1], files={SERIALS[0]: b"x"}), OF_SERIALS)

    assert answer.status_code == 200
    assert counts(answer) == (1, "0", "1", "0")


def test_a_hundred_failures_are_named(citrix, working):
    names = [f"{number}.p12" for number in range(120)]

    answer = citrix.upload(a_bundle([], extra=dict.fromkeys(names, b"x")), OF_SERIALS)

    assert answer.json["failedCount"] == "120"
    assert len(answer.json["failures"]) == 100


@pytest.mark.parametrize(
    ("identity_type", "identity"),
    [("IMEI", "490154203237518"), ("MEID", "A0000000000001"), (" imei ", "490154203237518")],
)
def test_devices_may_be_named_by_imei_and_meid(citrix, working, identity_type, identity):
    answer = citrix.upload(a_bundle([identity]), json.dumps({"identityType": identity_type}))

    assert counts(answer) == (0, "1", "0", "0")
    assert listed(citrix) == [identity]


def test_the_credentials_file_may_be_named(citrix, working):
    bundle = a_bundle(
        SERIALS[:1], credentials_file="passwords.csv", extra={"credential.txt": b"A12BC3D4EFGH=no\n"}
    )

    answer = citrix.upload(bundle, '{"identityType":"SERIAL_NUMBER","credentialFileName":"passwords.csv"}')

    assert counts(answer) == (0, "1", "0", "0")


@pytest.mark.parametrize(
    "members",
    [
        '{"useAs":"DEVICE","uploadType":"Keystore","keystoreType":"pkcs12","identityType":"serial_number"}',
        '{"useAs":"","uploadType":null,"keystoreType":"PKCS12","identityType":"SERIAL_NUMBER","credentialFileName":""}',
        '{"password":"x","description":"y","identityType":"SERIAL_NUMBER"}',
    ],
)
def test_members_are_read_liberally(citrix, working, members):
    assert counts(citrix.upload(a_bundle(SERIALS[:1]), members)) == (0, "1", "0", "0")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ("", "malformed_request"),
        ("null", "malformed_request"),
        ("[]", "malformed_request"),
        ("{", "malformed_request"),
        ("{}", "malformed_request"),
        ('{"identityType":null}', "malformed_request"),
        ('{"identityType":1}', "malformed_request"),
        ('{"identityType":{"a":"b"}}', "malformed_request"),
        ('{"identityType":"SERIAL_NUMBER","useAs":"server"}', "malformed_request"),
        ('{"identityType":"SERIAL_NUMBER","uploadType":"certificate"}', "malformed_request"),
        ('{"identityType":"SERIAL_NUMBER","keystoreType":"JKS"}', "malformed_request"),
        ('{"identityType":"SERIAL_NUMBER","credentialFileName":7}', "malformed_request"),
        ('{"identityType":"SERIAL_NUMBER","credentialFileName":"a\\u0000b"}', "malformed_request"),
        ('{"identityType":"SERIAL_NUMBER","credentialFileName":"other.txt"}', "no_credentials_file"),
        ('{"identityType":"UDID"}', "unknown_identity_type"),
        ('{"identityType":"device_identity_value"}', "unknown_identity_type"),
        ('{"identityType":"SERIAL_NUMBER"}' + " " * 70_000, "malformed_request"),
    ],
)
def test_an_import_body_that_cannot_be_used_is_400(citrix, members, code):
    assert refusal_of(citrix.upload(a_bundle(SERIALS[:1]), members)) == (400, code)


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        (b"", "not_a_zip"),
        (b"not a zip", "not_a_zip"),
        (a_zip({"credential.txt": b"x=y"}), "empty_bundle"),
        (a_zip({"A12BC3D4EFGH.p12": b"x"}), "no_credentials_file"),
        (a_zip({"A12BC3D4EFGH.p12": b"x", "a.txt": b"", "b.txt": b""}), "ambiguous_credentials_file"),
        (a_zip({"A12BC3D4EFGH.p12": b"x", "a.txt": b"\xff\xfe\x00"}), "undecodable_credentials_file"),
    ],
)
def test_a_bundle_that_cannot_be_used_is_400(citrix, bundle, code):
    assert refusal_of(citrix.upload(bundle, OF_SERIALS)) == (400, code)


def test_a_bundle_over_the_limit_is_400(new_service):
    service = new_service()
    limits = type(service.limits)(bundle_bytes=10_000)
    app = an_app(type(service)(**vars(service) | {"limits": limits}))

    answer = a_citrix_caller(app, service).upload(b"\x00" * 20_000, OF_SERIALS)

    assert refusal_of(answer) == (400, "bundle_too_large")


@pytest.mark.parametrize("path", [IMPORT, REMOVE])
@pytest.mark.parametrize("content_type", ["application/json", "application/zip", "text/plain", ""])
def test_another_content_type_is_400(citrix, path, content_type):
    answer = citrix.open("POST", path, data=b"{}", content_type=content_type)

    assert refusal_of(answer) == (400, "unsupported_media_type")


# --- multipart as real clients send it --------------------------------------------------------------

FIELD, FILE = b"certImportData", b"uploadFile"


@pytest.mark.parametrize(
    ("boundary", "content_type"),
    [
        ("x", "multipart/form-data; boundary=x"),
        ("x", 'multipart/form-data; boundary="x"'),
        ("x", "multipart/form-data;boundary=x;"),
        ("x", "Multipart/Form-Data; charset=utf-8; BOUNDARY=x"),
        (
            "------------------------d74496d66958873e",
            "multipart/form-data; boundary=------------------------d74496d66958873e",
        ),
        ("a3f1c8e2-6b1d-4f0e-9f57", 'multipart/form-data; boundary="a3f1c8e2-6b1d-4f0e-9f57"'),
        ("--=_Part_1/2:3?4", "multipart/form-data; boundary=--=_Part_1/2:3?4"),
        ("'()+_,-./:=?", "multipart/form-data; boundary='()+_,-./:=?"),
        ("'()+_,-./:=? x", 'multipart/form-data; boundary="\'()+_,-./:=? x"'),
    ],
)
def test_odd_boundaries_are_read(citrix, working, boundary, content_type):
    body = a_body(
        a_field("certImportData", OF_SERIALS), a_file("uploadFile", a_bundle(SERIALS[:1])), boundary=boundary
    )

    answer = citrix.open("POST", IMPORT, data=body, content_type=content_type)

    assert counts(answer) == (0, "1", "0", "0")


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition:form-data;name="certImportData"',
        b"content-disposition:form-data;name=certImportData",
        b'CONTENT-DISPOSITION: form-data; NAME="certImportData"',
        b'Content-Disposition: form-data; name="certImportData"\r\nContent-Type: application/json',
        b'Content-Type:text/plain;charset=utf-8\r\nContent-Disposition:form-data;name="certImportData"',
        b'Content-Disposition: form-data; name="certImportData"; filename="body.json"\r\nContent-Type: application/json',
        b'Content-Disposition:form-data;name="certImportData";filename=""',
    ],
)
@pytest.mark.parametrize("file_first", [True, False])
def test_the_json_part_may_be_sent_in_many_ways(citrix, working, head, file_first):
    parts = [head + b"\r\n\r\n" + PRINTED_IMPORT.encode(), a_file("uploadFile", a_bundle(SERIALS[:1]))]

    answer = citrix.post_form(IMPORT, *reversed(parts) if file_first else parts)

    assert counts(answer) == (0, "1", "0", "0")


def test_a_json_part_saved_by_powershell_is_read(citrix, working):
    part = a_file("certImportData", PRINTED_IMPORT.encode("utf-16"), "body.json")

    answer = citrix.post_form(IMPORT, part, a_file("uploadFile", a_bundle(SERIALS[:1])))

    assert counts(answer) == (0, "1", "0", "0")


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition:form-data;name="uploadFile";filename="bundle.zip"',
        b'Content-Disposition:form-data;name="uploadFile";filename="bundle.zip"\r\nContent-Type:application/zip',
        b"Content-Disposition: form-data; name=uploadFile; filename=C:\\certs\\bundle.zip",
        b"Content-Disposition: form-data; name=uploadFile; filename=b; filename*=utf-8''Ger%C3%A4te.zip",
        'Content-Disposition: form-data; name="uploadFile"; filename="Geräte.zip"'.encode(),
        b'Content-Disposition: form-data; name="uploadFile"; filename=""',
        b'Content-Disposition: form-data; name="uploadFile"; filename="b.zip"\r\nContent-Transfer-Encoding: binary',
    ],
)
def test_the_file_part_may_be_sent_in_many_ways(citrix, working, head):
    answer = citrix.post_form(
        IMPORT, head + b"\r\n\r\n" + a_bundle(SERIALS[:1]), a_field("certImportData", OF_SERIALS)
    )

    assert counts(answer) == (0, "1", "0", "0")


@pytest.mark.parametrize(
    ("alias", "ignored"), [('"cert1"', ["alias"]), ("cert1", ["alias"]), ('""', None), ("null", None)]
)
def test_an_alias_has_no_effect_and_the_answer_says_so(citrix, working, alias, ignored):
    answer = citrix.upload(
        a_bundle(SERIALS[:1]), f"{{'type':cert,'alias':{alias},'identityType':SERIAL_NUMBER}}"
    )

    assert counts(answer) == (0, "1", "0", "0")
    assert answer.json.get("ignored") == ignored


def test_parts_of_other_names_are_ignored(citrix, working):
    parts = [
        a_field("alias", "x"),
        a_field("certImportData", OF_SERIALS),
        a_file("uploadFile", a_bundle(SERIALS[:1])),
    ]

    assert counts(citrix.post_form(IMPORT, *parts)) == (0, "1", "0", "0")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [a_field("certImportData", OF_SERIALS)],
        [a_file("uploadFile", a_zip({"a": b""}))],
        [a_field("certImportData", OF_SERIALS)] * 2 + [a_file("uploadFile", a_zip({"a": b""}))],
        [a_field("certImportData", OF_SERIALS), a_file("certImportData", b"{}"), a_file("uploadFile", b"")],
        [a_field("certImportData", OF_SERIALS)] + [a_file("uploadFile", a_zip({"a": b""}))] * 2,
        [a_field("certImportData", OF_SERIALS), a_field("uploadFile", "PK")],
        [a_field("certRemoveData", OF_SERIALS), a_file("uploadFile", b"")],
        [b"Content-Disposition: form-data\r\n\r\nx"],
        [b"X-Nothing: x\r\n\r\nx"],
        [b"no head"],
        [a_file("certImportData", b"\x00\xff" * 600_000), a_file("uploadFile", b"")],
    ],
)
def test_a_form_without_its_two_parts_is_400(citrix, parts):
    assert refusal_of(citrix.post_form(IMPORT, *parts)) == (400, "malformed_request")


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        "multipart/form-data; boundary=é",
    ],
)
def test_a_form_without_its_boundary_is_400(citrix, content_type):
    answer = citrix.post_form(IMPORT, a_field("certImportData", OF_SERIALS), content_type=content_type)

    assert refusal_of(answer) == (400, "malformed_request")


@pytest.mark.parametrize("missing", [1, 2, 4, len(BOUNDARY) + 4, 400])
def test_a_form_that_breaks_off_is_400(citrix, missing):
    body = a_body(a_field("certImportData", OF_SERIALS), a_file("uploadFile", a_bundle(SERIALS[:1])))

    answer = citrix.open(
        "POST", IMPORT, data=body[: -missing - 2], content_type=f"multipart/form-data; boundary={BOUNDARY}"
    )

    assert refusal_of(answer) == (400, "malformed_request")


# --- the wait ---------------------------------------------------------------------------------------


@pytest.fixture
def impatient(new_service):
    return new_service(citrix_wait_seconds=0)


def test_past_the_wait_the_import_is_named_and_the_same_bundle_joins_it(impatient):
    citrix = a_citrix_caller(an_app(impatient), impatient)
    bundle = a_bundle(SERIALS)
    late, joined = (
        citrix.upload(bundle, OF_SERIALS),
        citrix.upload(bundle, PRINTED_IMPORT.replace("credential.txt", "")),
    )

    assert refusal_of(late) == (503, "still_running")
    assert late.json["importId"] == joined.json["importId"]
    assert int(late.headers["Retry-After"]) > 0
    a_worker(impatient).work()
    assert citrix.upload(bundle, OF_SERIALS).json["importId"] != late.json["importId"]


def test_another_bundle_joins_nothing(impatient):
    citrix = a_citrix_caller(an_app(impatient), impatient)

    answers = [citrix.upload(a_bundle(SERIALS[:1]), OF_SERIALS) for _ in range(2)]

    assert len({answer.json["importId"] for answer in answers}) == 2


def test_two_who_send_the_same_bundle_wait_for_one_import(app, service, worker):
    bundle = a_bundle(SERIALS)
    answers = []
    callers = [a_citrix_caller(app, service) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda citrix=citrix: answers.append(citrix.upload(bundle, OF_SERIALS)))
        for citrix in callers
    ]
    threads[0].start()
    _until(lambda: service.reports.page("import", 10, None).items)
    threads[1].start()
    threads[1].join(1)
    with worker.working():
        for thread in threads:
            thread.join()

    assert [counts(answer) for answer in answers] == [(0, "3", "0", "0")] * 2
    assert len({answer.json["importId"] for answer in answers}) == 1


def _until(claim):
    while not claim():
        threading.Event().wait(0.01)


# --- removal ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        PRINTED_REMOVAL,
        '{"identityType":"SERIAL_NUMBER",}',
        "{'identityType':'serial_number'}",
        "{“identityType”=“device_identity_value”,} # all of them",
    ],
)
def test_the_printed_removal_bodies_are_accepted(citrix, keep, members):
    keep(*SERIALS)

    answer = citrix.remove(f"{SERIALS[0]}\n{SERIALS[1]}\nZ12BC3D4EFGH\n".encode(), members)

    assert answer.status_code == 200
    assert counts(answer) == (0, "2", "0", "1")
    assert answer.json["message"] == "Success"
    assert answer.json["deletionId"]
    assert listed(citrix) == [SERIALS[2]]


@pytest.mark.parametrize(
    "upload",
    [
        f"{SERIALS[0]}.p12=password1!\r\n\r\n{SERIALS[1].lower()}".encode(),
        f"\ufeff{SERIALS[0]}\n{SERIALS[1]}.P12".encode(),
        a_zip({"bulk_remove_certs.txt": f"{SERIALS[0]}\n{SERIALS[1]}=x".encode()}),
        a_zip({f"{SERIALS[0]}.p12": b"", f"folder/{SERIALS[1]}.p12": b"whatever"}),
    ],
)
def test_a_removal_list_is_a_text_a_zip_of_one_or_a_zip_of_files(citrix, keep, upload):
    keep(*SERIALS)

    assert counts(citrix.remove(upload, OF_SERIALS)) == (0, "2", "0", "0")
    assert listed(citrix) == [SERIALS[2]]


def test_any_type_means_every_type(citrix, keep):
    keep(SERIALS[0])
    keep("490154203237518", members='{"identityType":"IMEI"}')

    answer = citrix.remove(f"{SERIALS[0]}\n49-015420-323751-8\n".encode(), PRINTED_REMOVAL)

    assert counts(answer) == (0, "2", "0", "0")
    assert listed(citrix) == []


def test_lines_that_name_no_device_fail_and_the_rest_goes_on(citrix, keep):
    keep(SERIALS[0])

    answer = citrix.remove(f"{SERIALS[0]}\nshort\n".encode(), OF_SERIALS)

    assert counts(answer) == (0, "1", "1", "0")
    assert answer.json["message"] == "1 of 2 failed: see failures"
    [failure] = answer.json["failures"]
    assert (failure["file"], failure["identity"], failure["code"]) == (None, "short", "invalid_identity")


def test_a_list_of_which_every_line_fails_has_status_1(citrix):
    assert counts(citrix.remove(b"short\n", OF_SERIALS)) == (1, "0", "1", "0")


@pytest.mark.parametrize(
    ("upload", "members", "code"),
    [
        (b"", OF_SERIALS, "empty_list"),
        (b"\n \n", OF_SERIALS, "empty_list"),
        (b"\xff\xff\xff", OF_SERIALS, "undecodable_credentials_file"),
        (b"A12BC3D4EFGH", "{}", "malformed_request"),
        (b"A12BC3D4EFGH", '{"identityType":"UDID"}', "unknown_identity_type"),
        (b"A12BC3D4EFGH", '{"identityType":"SERIAL_NUMBER"', "malformed_request"),
    ],
)
def test_a_removal_that_cannot_be_used_is_400(citrix, upload, members, code):
    assert refusal_of(citrix.remove(upload, members)) == (400, code)


# --- access -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "scope"), [(IMPORT, Scope.IMPORTS_WRITE), (REMOVE, Scope.CERTIFICATES_DELETE)]
)
def test_each_path_needs_its_scope(app, service, path, scope):
    without = a_citrix_caller(app, service, set(Scope) - {scope})
    only = a_citrix_caller(app, service, {scope})

    assert refusal_of(without.post_form(path)) == (403, "insufficient_scope")
    assert refusal_of(only.post_form(path)) == (400, "malformed_request")


def test_an_operator_may_import_and_remove_and_an_auditor_may_not(app, service, working):
    operator, auditor = (
        a_citrix_caller(app, service, SCOPES_OF[role]) for role in (Role.OPERATOR, Role.AUDITOR)
    )

    assert counts(operator.upload(a_bundle(SERIALS), OF_SERIALS))[0] == 0
    assert refusal_of(auditor.upload(a_bundle(SERIALS), OF_SERIALS)) == (403, "insufficient_scope")
    assert refusal_of(auditor.remove(b"A12BC3D4EFGH", OF_SERIALS)) == (403, "insufficient_scope")
    assert listed(auditor) == sorted(SERIALS)
    assert counts(operator.remove(b"A12BC3D4EFGH", OF_SERIALS)) == (0, "1", "0", "0")


@pytest.mark.parametrize("path", [IMPORT, REMOVE])
def test_without_a_token_no_upload_is_read(stranger, path):
    assert refusal_of(stranger.post_form(path)) == (401, "unauthenticated")


def test_the_log_line_of_an_import_has_its_id(impatient):
    citrix = a_citrix_caller(an_app(impatient), impatient)
    with capture_logs() as log:
        answer = citrix.upload(a_bundle(SERIALS), OF_SERIALS)

    [line] = [line for line in log if line["event"] == "request"]
    assert line["import_id"] == answer.json["importId"]
