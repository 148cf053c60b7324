import json

import pytest

from tests.api.citrix.conftest import BASE, CitrixCaller, refusal_of
from tests.builders import a_bundle

LOGIN = "/authentication/login"
LOGOUT = "/authentication/logout"


def test_a_login_is_answered_with_a_token_and_nothing_else(stranger, password):
    answer = stranger.post(LOGIN, json.dumps({"login": "administrator", "password": password}))

    assert answer.status_code == 200
    assert list(answer.json) == ["auth_token"]
    assert answer.headers["Cache-Control"] == "no-store"
    citrix = CitrixCaller(stranger.client, answer.json["auth_token"])
    assert citrix.get("/certificates").json["status"] == 0


@pytest.mark.parametrize(
    "typed",
    [
        "{'login':'administrator','password':'%s'}",
        "{“login”:“administrator”,“password”:“%s”,}",
        '{\n  "login"="administrator", # that is me\n  "password"="%s",\n}',
        '\ufeff{"login":"administrator","password":"%s","rememberMe":true}',
    ],
)
def test_a_login_may_be_typed_by_hand(stranger, password, typed):
    answer = stranger.post(LOGIN, (typed % password).encode())

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"],
)
def test_a_login_is_read_whatever_its_content_type_says(stranger, password, content_type):
    body = json.dumps({"login": "administrator", "password": password})

    answer = stranger.client.post(BASE + LOGIN, data=body, content_type=content_type)

    assert answer.status_code == 200


@pytest.mark.parametrize("login", ["administrator", "nobody", "administrator ", "Administrator", "x" * 5000])
def test_a_wrong_login_is_401(stranger, login):
    answer = stranger.post(LOGIN, json.dumps({"login": login, "password": "not the password"}))

    assert refusal_of(answer) == (401, "wrong_credentials")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"login=administrator",
        b'{"login":"administrator"}',
        b'{"login":"administrator","password":""}',
        b'{"login":"administrator","password":null}',
        b'{"login":"administrator","password":12345678}',
        b'{"login":["administrator"],"password":"x"}',
        b'{"login":"admin\\u0000istrator","password":"x"}',
        b'{"login":"administrator","password":"\\ud800"}',
        b'{"login":"administrator","password":"\xe4"}',
        b'{"login":"administrator","password":"x"',
        b'{"login":' * 10_000,
        b'{"login":"' + b"x" * 300_000 + b'","password":"x"}',
    ],
)
def test_a_login_that_cannot_be_read_is_400(stranger, body):
    assert refusal_of(stranger.post(LOGIN, body)) == (400, "malformed_request")


def test_a_body_is_never_repeated_in_the_refusal(stranger):
    answer = stranger.post(LOGIN, '{"login":"administrator","password":"hunter2}')

    assert b"hunter2" not in answer.data
    assert "line 1, column 37" in answer.json["message"]


def test_too_many_failed_logins_are_429_with_a_time_to_wait(stranger):
    body = json.dumps({"login": "administrator", "password": "not the password"})
    answers = [stranger.post(LOGIN, body) for _ in range(12)]

    throttled = answers[-1]
    assert refusal_of(throttled) == (429, "too_many_requests")
    assert int(throttled.headers["Retry-After"]) > 0


@pytest.mark.parametrize("body", ['{"bearerToken":"eyJhbGciOi"}', "", "null", "{"])
def test_a_login_with_a_cloud_token_is_refused_by_name(stranger, body):
    assert refusal_of(stranger.post("/authentication/login/cloud", body)) == (400, "not_supported")


@pytest.mark.parametrize(
    "body", ['{"login":"administrator"}', '{"login":"somebody else"}', "", "null", "{", "\x00"]
)
def test_a_logout_goes_by_the_token(citrix, body):
    answer = citrix.post(LOGOUT, body)

    assert answer.json == {"Status": "user administrator logged out successfully."}
    assert refusal_of(citrix.get("/certificates")) == (401, "unauthenticated")
    assert refusal_of(citrix.post(LOGOUT, body)) == (401, "unauthenticated")


def test_a_logout_ends_no_other_login(citrix, stranger, password):
    answer = stranger.post(LOGIN, json.dumps({"login": "administrator", "password": password}))

    citrix.post(LOGOUT)

    assert CitrixCaller(stranger.client, answer.json["auth_token"]).get("/certificates").status_code == 200


@pytest.mark.parametrize("name", ["Auth_token", "auth_token", "AUTH_TOKEN", "aUTH_tOKEN"])
def test_the_token_header_may_be_written_in_any_case(citrix, stranger, name):
    assert stranger.get("/certificates", headers={name: citrix.token}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Auth_token": ""},
        {"Auth_token": "nonsense"},
        {"Authorization": "Bearer {token}"},
        {"Cookie": "auth_token={token}"},
        {"Auth_token": "{token},{token}"},
        {"Auth_token": "{token}x"},
    ],
)
def test_without_one_good_token_there_is_401(citrix, stranger, headers):
    shown = {name: value.replace("{token}", citrix.token) for name, value in headers.items()}

    answer = stranger.get("/certificates", headers=shown)

    assert refusal_of(answer) == (401, "unauthenticated")
    assert "POST /xenmobile/api/v1/authentication/login" in answer.json["message"]
    assert answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("headers", "is_told"), [({}, True), ({"Auth_token": ""}, True), ({"Auth_token": "x"}, False)]
)
def test_where_no_token_came_a_proxy_may_have_dropped_it(stranger, headers, is_told):
    message = stranger.get("/certificates", headers=headers).json["message"]

    for part in ("a proxy on the way dropped it", "underscores_in_headers"):
        assert (part in message) == is_told


def test_every_answer_ends_with_a_newline(citrix, worker, stranger):
    with worker.working():
        citrix.upload(a_bundle(["A12BC3D4EFGH"]), json.dumps({"identityType": "SERIAL_NUMBER"}))
    answers = [
        citrix.get("/certificates"),
        citrix.post("/device/filter/v2"),
        stranger.get("/certificates"),
        citrix.get("/x"),
    ]

    assert [answer.text[-2:] for answer in answers] == ["}\n"] * 4


@pytest.mark.parametrize(
    "path",
    [
        "/device/filter/v1",
        "/certificates/import/keystore/x",
        "/certificates/exports",
        "/pki",
        "/serverpropertiesx",
        "/",
        "/x",
    ],
)
def test_other_paths_are_404_in_the_envelope(citrix, path):
    assert refusal_of(citrix.post(path, "{}")) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/certificates/export", "POST /certificates/export"),
        ("POST", "/certificates/csr", "POST /certificates/csr"),
        ("GET", "/certificates/csr/", "GET /certificates/csr"),
        ("POST", "/certificates/import/keystore/apns", "/certificates/import/keystore/apns"),
        ("POST", "/certificates/import/certificate/saml", "/certificates/import/certificate/saml"),
        ("DELETE", "/certificates", "DELETE /certificates"),
        ("DELETE", "/certificates/", "DELETE /certificates"),
        ("DELETE", "/publicapi/certificates", "DELETE /publicapi/certificates"),
        ("POST", "/device/renewDeviceCert", "/device/renewDeviceCert"),
        ("PUT", "/pki/certauthority/issuingCA", "PUT /pki/certauthority/issuingCA"),
        ("GET", "/pki/certauthority", "GET /pki/certauthority"),
        ("POST", "/device/wipe", "actions on devices"),
        ("GET", "/deliverygroups/hunter2", "/deliverygroups"),
        ("PUT", "/serverproperties", "/serverproperties"),
        ("POST", "/application/filter", "/application"),
    ],
)
def test_a_call_of_the_vendor_that_is_not_here_is_refused_by_name(citrix, stranger, method, path, name):
    for caller in (citrix, stranger):
        answer = caller.open(method, path, data="{")

        assert refusal_of(answer) in {(400, "not_supported"), (405, "not_supported")}
        assert ("Allow" in answer.headers) == (answer.status_code == 405)
        assert f"{name}." in answer.json["message"]
        assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", LOGIN),
        ("POST", "/certificates"),
        ("POST", "/device/17"),
        ("PUT", "/device/filter"),
        ("DELETE", "/certificates/remove/keystore/device"),
        ("GET", "/certificates/import/keystore/device"),
    ],
)
def test_other_methods_are_405_in_the_envelope(citrix, method, path):
    answer = citrix.open(method, path)

    assert refusal_of(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"]


def test_the_double_slash_of_printed_urls_is_accepted(citrix, stranger, password):
    body = json.dumps({"login": "administrator", "password": password})
    headers = {"Auth_token": citrix.token}
    base = "https://localhost:4443/" + BASE

    assert stranger.client.post(base + LOGIN, data=body).status_code == 200
    assert stranger.client.get(base + "/certificates", headers=headers).json["status"] == 0
    assert refusal_of(stranger.client.get(base + "/nowhere", headers=headers)) == (404, "not_found")
