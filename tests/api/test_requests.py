"""Hostile requests: each has one status and one code, none a stack trace."""

import io
import json
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from bulkcert.api.parsing import parse_object
from bulkcert.errors import MalformedRequest
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, NewService, a_client, a_token, an_app

JSON = "application/json"


@pytest.fixture(scope="module")
def service(new_service: NewService) -> Service:
    return new_service()


@pytest.fixture(scope="module")
def caller(new_service: NewService) -> ApiCaller:  # type: ignore[override]
    service = new_service()
    app = an_app(service)
    return ApiCaller(a_client(app), a_token(app, service))


BODIES: list[tuple[str, bytes, str | None, int, str]] = [
    ("empty", b"", JSON, 400, "malformed_request"),
    ("no content type", b'{"login":"a","password":"b"}', None, 415, "unsupported_media_type"),
    ("a form", b"login=a&password=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ("a form that is json", b'{"login":"a"}', "text/json", 415, "unsupported_media_type"),
    ("json of another kind", b"{}", "application/vnd.api+json", 415, "unsupported_media_type"),
    ("utf-16 by its charset", b"{}", f"{JSON}; charset=utf-16", 415, "unsupported_media_type"),
    ("charset that nobody knows", b"{}", f"{JSON}; charset=x", 415, "unsupported_media_type"),
    ("utf-16", '{"login":"a"}'.encode("utf-16"), JSON, 400, "malformed_request"),
    ("latin-1", b'{"login":"\xe9","password":"b"}', JSON, 400, "malformed_request"),
    ("overlong utf-8", b'{"login":"\xc0\xaf","password":"b"}', JSON, 400, "malformed_request"),
    ("half a surrogate pair", rb'{"login":"\ud800","password":"b"}', JSON, 400, "malformed_request"),
    ("half a pair in a name", rb'{"\udfff":"a"}', JSON, 400, "malformed_request"),
    ("half a pair in utf-8", b'{"login":"\xed\xa0\x80"}', JSON, 400, "malformed_request"),
    ("cut off", b'{"login":"a"', JSON, 400, "malformed_request"),
    ("two documents", b"{}{}", JSON, 400, "malformed_request"),
    ("trailing comma", b'{"login":"a","password":"b",}', JSON, 400, "malformed_request"),
    ("single quotes", b"{'login':'a','password':'b'}", JSON, 400, "malformed_request"),
    ("comment", b'{"login":"a","password":"b"} # x', JSON, 400, "malformed_request"),
    ("control character", b'{"login":"\n","password":"b"}', JSON, 400, "malformed_request"),
    ("name twice", b'{"login":"a","login":"a","password":"b"}', JSON, 400, "malformed_request"),
    ("name twice below", b'{"login":{"a":1,"a":2},"password":"b"}', JSON, 400, "malformed_request"),
    ("list", b"[]", JSON, 400, "malformed_request"),
    ("string", b'"login"', JSON, 400, "malformed_request"),
    ("number", b"1", JSON, 400, "malformed_request"),
    ("null", b"null", JSON, 400, "malformed_request"),
    ("NaN", b'{"login":NaN,"password":"b"}', JSON, 400, "malformed_request"),
    ("Infinity", b'{"login":-Infinity,"password":"b"}', JSON, 400, "malformed_request"),
    ("huge number", b'{"login":' + b"1" * 10_000 + b',"password":"b"}', JSON, 400, "malformed_request"),
    ("huge exponent", b'{"login":1e999999,"password":"b"}', JSON, 400, "malformed_request"),
    ("deep lists", b'{"login":' + b"[" * 30_000, JSON, 400, "malformed_request"),
    ("deep lists that close", b'{"a":' + b"[" * 9_000 + b"]" * 9_000 + b"}", JSON, 400, "malformed_request"),
    ("deep objects", b'{"a":' * 10_000, JSON, 400, "malformed_request"),
    ("empty object", b"{}", JSON, 400, "malformed_request"),
    ("no password", b'{"login":"a"}', JSON, 400, "malformed_request"),
    ("number for a string", b'{"login":1,"password":"b"}', JSON, 400, "malformed_request"),
    ("true for a string", b'{"login":true,"password":"b"}', JSON, 400, "malformed_request"),
    ("null for a string", b'{"login":null,"password":"b"}', JSON, 400, "malformed_request"),
    ("list for a string", b'{"login":["a"],"password":"b"}', JSON, 400, "malformed_request"),
    ("object for a string", b'{"login":{},"password":"b"}', JSON, 400, "malformed_request"),
    ("NUL in the login", rb'{"login":"a\u0000","password":"b"}', JSON, 400, "malformed_request"),
    ("empty login", b'{"login":"","password":"b"}', JSON, 400, "malformed_request"),
    ("long login", b'{"login":"' + b"a" * 256 + b'","password":"b"}', JSON, 400, "malformed_request"),
    ("unknown member", b'{"login":"a","password":"b","otp":"1"}', JSON, 400, "malformed_request"),
    ("unknown member of odd name", rb'{"login":"a","password":"b","<\u0000>":1}', JSON, 400, "malformed_request"),
    ("member named _schema", b'{"login":"a","password":"b","_schema":1}', JSON, 400, "malformed_request"),
    ("large", b'{"login":"' + b"a" * 70_000 + b'"}', JSON, 413, "bundle_too_large"),
    ("spaces", b" " * 70_000, JSON, 413, "bundle_too_large"),
    ("NUL in the password", rb'{"login":"a","password":"\u0000"}', JSON, 401, "wrong_credentials"),
    ("empty password", b'{"login":"a","password":""}', JSON, 401, "wrong_credentials"),
    ("emoji", '{"login":"🙂","password":"🙂"}'.encode(), JSON, 401, "wrong_credentials"),
    ("surrogate pair", rb'{"login":"\ud83d\ude42","password":"b"}', JSON, 401, "wrong_credentials"),
    ("byte order mark", b'\xef\xbb\xbf{"login":"a","password":"b"}', JSON, 401, "wrong_credentials"),
    ("charset", b'{"login":"a","password":"b"}', f'{JSON}; charset="UTF-8"', 401, "wrong_credentials"),
    ("type in capitals", b'{"login":"a","password":"b"}', "Application/JSON", 401, "wrong_credentials"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [case[1:] for case in BODIES],
    ids=[case[0] for case in BODIES],
)
def test_a_hostile_login_has_one_answer(
    client: Client, body: bytes, content_type: str | None, status: int, code: str, request: Any
) -> None:
    answer = client.post(
        "/api/v1/sessions",
        data=body,
        content_type=content_type,
        environ_overrides={"REMOTE_ADDR": request.node.name},
    )

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"login":"a","password":"' + b"b" * 100_000 + b'"}', 413), (b"{", 400)]
)
def test_a_body_without_a_length_is_measured_as_it_is_read(client: Client, body: bytes, status: int) -> None:
    stream = io.BytesIO(body)
    answer = client.post(
        "/api/v1/sessions",
        headers={"Content-Type": JSON, "Transfer-Encoding": "chunked", "Expect": "100-continue"},
        environ_overrides={"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )

    assert answer.status_code == status
    assert stream.tell() <= 66_000


LENGTHS = ["-1", "x", "1e3", "99999999999999999999", "+5", " ", "٣"]


@pytest.mark.parametrize("length", LENGTHS)
def test_an_odd_length_is_not_a_fault(client: Client, length: str) -> None:
    answer = client.post("/api/v1/sessions", content_type=JSON, environ_overrides={"CONTENT_LENGTH": length})

    assert answer.status_code in {400, 413}


BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="identity_type"\r\n\r\nIMEI\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="bundle"; filename="a.zip"\r\n\r\nPK\r\n'
END = b"--x--\r\n"
MULTIPARTS: list[tuple[str, bytes, str, int, str]] = [
    ("whole", PART + FILE + END, BOUNDARY, 422, "not_a_zip"),
    (
        "without spaces",
        PART.replace(b": ", b":").replace(b"; ", b";") + FILE + END,
        BOUNDARY,
        422,
        "not_a_zip",
    ),
    ("lone line feeds", (PART + FILE + END).replace(b"\r\n", b"\n"), BOUNDARY, 422, "not_a_zip"),
    ("empty", b"", BOUNDARY, 400, "malformed_request"),
    ("only an end", END, BOUNDARY, 400, "malformed_request"),
    ("no boundary", PART + FILE + END, "multipart/form-data", 400, "malformed_request"),
    ("empty boundary", PART + FILE + END, "multipart/form-data; boundary=", 400, "malformed_request"),
    ("boundary of another alphabet", PART + END, "multipart/form-data; boundary=é", 400, "malformed_request"),
    ("another boundary", PART + FILE + END, "multipart/form-data; boundary=y", 400, "malformed_request"),
    ("cut off in a file", PART + FILE, BOUNDARY, 400, "malformed_request"),
    ("cut off in a header", PART + b"--x\r\nContent-Dis", BOUNDARY, 400, "malformed_request"),
    ("part without disposition", b"--x\r\nX: y\r\n\r\nz\r\n" + END, BOUNDARY, 400, "malformed_request"),
    (
        "part without name",
        PART.replace(b'; name="identity_type"', b"") + END,
        BOUNDARY,
        400,
        "malformed_request",
    ),
    (
        "file without name",
        FILE.replace(b'name="bundle"; ', b"") + PART + END,
        BOUNDARY,
        400,
        "malformed_request",
    ),
    (
        "part with a header that is not utf-8",
        b"--x\r\n\xff: y\r\n\r\nz\r\n" + END,
        BOUNDARY,
        400,
        "malformed_request",
    ),
    (
        "name that is not utf-8",
        PART.replace(b"identity_type", b"\xff") + END,
        BOUNDARY,
        400,
        "malformed_request",
    ),
    (
        "value that is not utf-8",
        PART.replace(b"IMEI", b"\xff") + FILE + END,
        BOUNDARY,
        422,
        "unknown_identity_type",
    ),
    (
        "file name that is not utf-8",
        PART + FILE.replace(b"a.zip", b"\xe4\xff\x80.zip") + END,
        BOUNDARY,
        422,
        "not_a_zip",
    ),
    (
        "file name in shift-jis with a backslash",
        PART + FILE.replace(b"a.zip", "表.zip".encode("shift-jis")) + END,
        BOUNDARY,
        422,
        "not_a_zip",
    ),
    (
        "transfer encoding that changes nothing",
        PART + FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: Binary\r\n\r\n") + END,
        BOUNDARY,
        422,
        "not_a_zip",
    ),
    ("header without end", b"--x\r\nX: " + b"y" * 400_000, BOUNDARY, 413, "bundle_too_large"),
    ("preamble without end", b"y" * 400_000, BOUNDARY, 413, "bundle_too_large"),
    ("thousand parts", PART * 1000 + END, BOUNDARY, 413, "bundle_too_large"),
    ("thousand files", FILE * 1000 + END, BOUNDARY, 413, "bundle_too_large"),
    (
        "filename with a path",
        PART + FILE.replace(b"a.zip", b"../../etc/passwd") + END,
        BOUNDARY,
        422,
        "not_a_zip",
    ),
]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [case[1:] for case in MULTIPARTS],
    ids=[case[0] for case in MULTIPARTS],
)
def test_a_hostile_form_has_one_answer(
    caller: ApiCaller, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = caller.post("/api/v1/imports", data=body, headers={"Content-Type": content_type})

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    "body", [PART + FILE, PART + b"--x\r\nContent-Dis", b"--x\r\n\xff: y\r\n\r\nz\r\n" + END]
)
def test_a_form_that_is_broken_is_not_said_to_lack_a_part(caller: ApiCaller, body: bytes) -> None:
    answer = caller.post("/api/v1/imports", data=body, headers={"Content-Type": BOUNDARY})

    assert answer.json is not None
    assert "cannot be read" in answer.json["detail"]
    assert "errors" not in answer.json


def test_a_missing_boundary_is_named(caller: ApiCaller) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary="):
        answer = caller.post(
            "/api/v1/imports", data=PART + FILE + END, headers={"Content-Type": content_type}
        )

        assert answer.json is not None
        assert "boundary" in answer.json["detail"]
        assert answer.json["errors"][0]["where"] == "Content-Type"


@pytest.mark.parametrize("part", [PART, FILE])
@pytest.mark.parametrize(
    ("coding", "named"), [("base64", "base64"), ("BASE64", "base64"), ("hunter2", "not known")]
)
def test_a_transfer_encoding_is_named(caller: ApiCaller, part: bytes, coding: str, named: str) -> None:
    coded = part.replace(b"\r\n\r\n", f"\r\nContent-Transfer-Encoding: {coding}\r\n\r\n".encode())
    others = FILE if part is PART else PART
    answer = caller.post("/api/v1/imports", data=coded + others + END, headers={"Content-Type": BOUNDARY})

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")
    assert named in answer.json["detail"]
    assert "hunter2" not in answer.text
    assert answer.json["errors"][0]["where"] == "Content-Transfer-Encoding"


ACCEPTS: list[tuple[str | None, int]] = [
    (None, 200),
    ("", 200),
    ("*/*", 200),
    ("application/json", 200),
    ("application/*", 200),
    ("application/problem+json", 200),
    ("text/html, application/json;q=0.1", 200),
    ("text/csv, */*;q=0.1", 200),
    ("text/csv", 406),
    ("application/x-ndjson", 406),
    ("text/csv, application/x-ndjson;q=0.5", 406),
    ("application/json;q=0", 406),
    (";;;,,,", 200),
    ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 200),
    ("*", 200),
    ("*;q=0", 406),
    ("text/csv, *;q=0.1", 200),
    ("application/json; charset=UTF-8", 200),
    ("APPLICATION/JSON;Q=.5", 200),
    ("application/json;q=.0", 406),
    ("application/json;version=1", 200),
    ("application/json; profile=x; q=0", 406),
    ("application/json;v=1;q=0.5, text/csv", 200),
    ('application/json;indent=4;charset="utf-8"', 200),
    ("application/json;odata=verbose;quiet", 200),
    ("application/*;version=1", 200),
    ("application/json;charset=utf8", 200),
    ('application/json;x="a, text/csv;q=0", text/csv', 200),
    ("*/*;version=1", 200),
    ("text/csv;version=1", 406),
    ("application/json;charset=iso-8859-1", 406),  # the answer is UTF-8
    ("text/csv, application/json;q=abc", 406),
    ("text/csv, application/json;q=1.5", 406),
    ("json", 200),
    ("text/html;q=2, a/b/c", 200),
    ("é, text/csv", 406),
]


@pytest.mark.parametrize(("accept", "status"), ACCEPTS)
def test_an_answer_is_json_or_none(caller: ApiCaller, accept: str | None, status: int) -> None:
    answer = caller.get("/api/v1/imports", headers={} if accept is None else {"Accept": accept})

    assert answer.status_code == status


def test_every_path_refuses_a_query_parameter_that_it_does_not_know(app: Flask, service: Service) -> None:
    caller = ApiCaller(a_client(app), a_token(app, service))
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(("/xenmobile/", "/mdm/", "/health/")):
            continue
        path = app.url_map.bind("").build(rule.endpoint, dict.fromkeys(rule.arguments, "1"))
        for method in (rule.methods or set()) - {"HEAD"}:
            content_type = "application/zip" if path.endswith("/raw") else BOUNDARY
            answer = caller.open(
                method, f"{path}?surprise=1", data=FILE + END, headers={"Content-Type": content_type}
            )
            assert answer.status_code == 400, (method, path)


def test_head_is_answered_like_get_without_a_body(caller: ApiCaller) -> None:
    assert caller.open("HEAD", "/api/v1/imports").status_code == 200
    assert caller.open("HEAD", "/api/v1/imports").data == b""
    assert caller.client.head("/api/v1/imports").status_code == 401


@pytest.mark.parametrize(
    "host", ["", "x y", "<script>", "a" * 5000, "[::1", "example.com:99999999", "é", "a/../b", "a@b", "a\x00"]
)
def test_an_odd_host_is_not_a_fault(caller: ApiCaller, host: str) -> None:
    answer = Client(caller.client.application).get("/health/live", environ_overrides={"HTTP_HOST": host})

    assert answer.status_code in {200, 400, 404}


HEADERS = ["Prefer", "Accept", "Content-Type", "Authorization", "Auth_token", "Cookie", "Range", "If-None-Match",
           "If-Modified-Since", "X-Forwarded-For", "Accept-Encoding", "Transfer-Encoding", "Expect"]  # fmt: skip
header_texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60
)
requests = st.fixed_dictionaries({
    "method": st.sampled_from(["GET", "POST", "HEAD", "DELETE"]),
    "path": st.sampled_from([
        "/api/v1/imports", "/api/v1/imports/1", "/api/v1/imports/1/items", "/api/v1/deletions",
        "/api/v1/certificates", "/api/v1/certificates/1", "/api/v1/token/revoke", "/api/v1/limits",
    ]),
    "query": st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
    "headers": st.dictionaries(st.sampled_from(HEADERS), header_texts, max_size=3),
    "type": st.sampled_from([JSON, "application/zip", BOUNDARY, "application/x-www-form-urlencoded"]),
    "body": st.binary(max_size=200),
})  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests)
def test_no_request_is_a_fault(caller: ApiCaller, request: dict[str, Any]) -> None:
    headers = {"Content-Type": request["type"]} | request["headers"]
    answer = caller.open(
        request["method"], f"{request['path']}?{request['query']}", headers=headers, data=request["body"]
    )

    assert answer.status_code < 500


pieces = st.lists(
    st.sampled_from([PART, FILE, END, b"--x", b"\r\n", b"\n", b"\r", b"--", b"Content-Disposition: form-data",
                     b'; name="bundle"', b'; filename="', b"\x00", b"Content-Type: text/plain; charset=utf-7",
                     b"Content-Length: -1", b"\xff", b"x" * 70_000]),
    max_size=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces)
def test_no_form_is_a_fault(caller: ApiCaller, pieces: list[bytes]) -> None:
    answer = caller.post("/api/v1/imports", data=b"".join(pieces), headers={"Content-Type": BOUNDARY})

    assert answer.status_code in {400, 413, 422}


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), jsons))
def test_parsing_gives_what_was_written_where_that_is_json(members: dict[str, Any]) -> None:
    try:
        written = json.dumps(members, allow_nan=False)
    except ValueError:
        with pytest.raises(MalformedRequest):
            parse_object(json.dumps(members).encode())
    else:
        assert parse_object(written.encode()) == members
        assert parse_object(json.dumps(members, ensure_ascii=False).encode()) == members


@given(
    st.binary(max_size=60)
    | st.text(alphabet='{}[]":,\\ud8012eE+-.truefalsnN \x00', max_size=40).map(str.encode)
)
def test_parsing_bytes_gives_an_object_or_a_refusal(content: bytes) -> None:
    try:
        parsed = parse_object(content)
    except MalformedRequest:
        return
    assert isinstance(parsed, dict)
