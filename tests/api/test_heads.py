"""Heads and public bodies cost what their length costs, however they are written; longer heads are refused."""

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from bulkcert.api import client_address, heads
from bulkcert.config import Config
from tests.api.conftest import NewService, an_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

KIB = 1024
LENGTH = 64 * KIB
MOST_SECONDS = 2
"""Of processor time for 64 KiB. A pattern that is quadratic in it takes from 3 to 40 seconds.

The bound leaves room for one full collection of garbage, which takes half a second in a process of many tests.
"""

HEADERS = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Auth_token", "Authorization",
    "Content-Encoding", "Content-Type", "Cookie", "Expect", "Host", "Idempotency-Key", "If-Match",
    "If-Modified-Since", "If-None-Match", "If-Range", "Origin", "Prefer", "Range", "Transfer-Encoding",
    "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Hmac-Signature",
    "X-Request-Id",
)  # fmt: skip

FRAGMENTS = (
    " ", "\t", " \t", "a", "0", "1", ",", ", ", ";", "; ", "=", "a=", "a=b;", "a=b,", ";q", "; q=", ";q=0.",
    "a/b,", "a/b;", "*/*,", "*,", "*/*;q=1,", ";charset=", " ;charset=utf-8", '"', '\\"', '"a"', '"a",', "\\",
    "(", "%", "%0", "%41", "%zz", ".", "..", "./", ":", "::", "1:", "127.0.0.1,", "10.0.0.1, ", "[", "[::1],",
    "Bearer ", "Basic ", "bytes=0-", "0-1,", "W/\"a\",", "boundary=", "boundary=;", "a*=", "a*0*=b;",
    "filename*=utf-8''", "=?utf-8?q?", "a.b.c.", "eyJ.", "-", "&", "&a", "a&", "+", "@", "\xa0", "é",
)  # fmt: skip

BEGINNINGS = (
    "",
    "a",
    "a/b",
    "Bearer ",
    "Basic ",
    "multipart/form-data; boundary=",
    "text/html;a=",
    '"',
    "bytes=",
)
ENDS = ("", "!", '"', "x")

PUBLIC_BODIES = (
    ("/api/v1/sessions", "application/json"),
    ("/api/v1/token", "application/x-www-form-urlencoded"),
    ("/xenmobile/api/v1/authentication/login", "application/json"),
    ("/xenmobile/api/v1/authentication/login/cloud", "application/json"),
    ("/mdm/nanomdm/webhook", "application/json"),
)

BODY_FRAGMENTS = (
    *FRAGMENTS, "{", "[", "}", "]", '{"a":', '{"a":1,', '"a":1,', "[[", "[1,", "1e", "-", "1.", "9", "'", "\\'",
    "“", "”", "‘", "#", "#\n", "\n", "\r\n", "\r", "\ufeff", "\\u0000", "\\ud800", "null,", "tru", "\0", "a=1&",
    "client_id=", "%ff", "+=", "==",
)  # fmt: skip

BODY_BEGINNINGS = (
    "", '{"login":"', '{"login":', "{'login':", "{login", "grant_type=client_credentials&client_id=", '["', "“",
)  # fmt: skip


def filled(beginning: str, fragment: str, end: str) -> str:
    """64 KiB of a fragment, between a beginning and an end."""
    room = LENGTH - len(beginning) - len(end)
    return beginning + (fragment * (room // len(fragment) + 1))[:room] + end


def texts(beginnings: tuple[str, ...], fragments: tuple[str, ...], place: int) -> Iterator[str]:
    """Every fragment bare, and between beginnings and ends that go round so that a run stays short."""
    for number, fragment in enumerate(fragments):
        yield filled("", fragment, "!")
        at = number + place
        yield filled(beginnings[at % len(beginnings)], fragment, ENDS[at // len(beginnings) % len(ENDS)])


@pytest.fixture(scope="module")
def app(new_service: NewService) -> Flask:
    """The app as it stands behind a proxy, with its answers unchecked: hostile requests leave the contract."""
    config = Config.from_environment({})
    made = an_app(new_service())
    made.wsgi_app = client_address.ClientAddress(  # type: ignore[method-assign]
        made.wsgi_app, config.trusted_proxies
    )
    return made


@pytest.fixture
def uncapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets long heads through, so that the patterns behind the check are measured."""
    monkeypatch.setattr(heads, "MOST_FIELD_BYTES", 2 * LENGTH)
    monkeypatch.setattr(heads, "MOST_HEAD_BYTES", 4 * LENGTH)


def seconds_of(app: Flask, part: dict[str, str] | None = None, **request: object) -> float:
    """Give the processor seconds of one request from the loopback address. part: of its WSGI environment."""
    environ = EnvironBuilder(**request).get_environ()  # type: ignore[arg-type]
    environ |= {"REMOTE_ADDR": "127.0.0.1"} | (part or {})
    began = time.thread_time()
    status = status_of(app, environ)
    spent = time.thread_time() - began
    assert status != 500
    return spent


def status_of(app: Flask, environ: "WSGIEnvironment") -> int:
    """Give the status of the answer, without the test client, which reads heads itself."""
    _, status, _ = run_wsgi_app(app, environ, buffered=True)
    return int(status.split()[0])


@pytest.mark.usefixtures("uncapped")
@pytest.mark.parametrize("header", HEADERS)
def test_no_header_of_64_kib_holds_the_process(app: Flask, header: str) -> None:
    place = HEADERS.index(header)
    for text in texts(BEGINNINGS, FRAGMENTS, place):
        sent = {"Content-Type": "application/json", header: text}
        assert seconds_of(app, path="/api/v1/limits", headers=sent) < MOST_SECONDS, text[:80]
        assert seconds_of(
            app, path="/api/v1/sessions", method="POST", headers=sent, data=b"{}"
        ) < MOST_SECONDS, text[:80]  # fmt: skip


@pytest.mark.usefixtures("uncapped")
@pytest.mark.parametrize("part", ["PATH_INFO", "QUERY_STRING"])
def test_no_path_or_query_of_64_kib_holds_the_process(app: Flask, part: str) -> None:
    beginnings = ("/", "/api/v1/imports/", "/xenmobile/api/v1/device/", "/api//", "/api/v1/deployments/")
    for text in texts(beginnings, ("/", "//", "/a", "lease", *FRAGMENTS), 0):
        written = text.encode().decode("latin-1")  # as WSGI has it (PEP 3333)
        if part == "PATH_INFO":
            written = "/" + written.lstrip("/")
        for path, method in (("/health/live", "GET"), ("/api/v1/sessions", "POST")):
            assert seconds_of(app, {part: written}, path=path, method=method) < MOST_SECONDS, text[:80]


@pytest.mark.parametrize(("path", "media_type"), PUBLIC_BODIES)
def test_no_public_body_of_64_kib_holds_the_process(app: Flask, path: str, media_type: str) -> None:
    for place, text in enumerate(texts(BODY_BEGINNINGS, BODY_FRAGMENTS, 0)):
        body = text.encode()[:LENGTH]
        headers = {"Content-Type": media_type, "X-Hmac-Signature": "AAAA"}
        spent = seconds_of(app, path=path, method="POST", headers=headers, data=body)
        assert spent < MOST_SECONDS, (place, text[:80])


def test_a_long_accept_header_is_refused(app: Flask) -> None:
    answer = Client(app, app.response_class).get("/api/v1/limits", headers={"Accept": " ;" * 30_000})

    assert answer.status_code == 431
    assert json.loads(answer.data)["code"] == "head_too_large"


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"X-Long": "a" * 8192}, "/health/live", 200),
        ({"X-Long": "a" * 8193}, "/health/live", 431),
        ({f"X-{number}": "a" * 6000 for number in range(5)}, "/health/live", 200),
        ({f"X-{number}": "a" * 6000 for number in range(6)}, "/health/live", 431),
        ({}, "/" + "a" * 8193, 431),
        ({}, "/health/live?" + "a" * 8193, 431),
    ],
)
def test_heads_are_capped(app: Flask, headers: dict[str, str], path: str, status: int) -> None:
    assert Client(app, app.response_class).get(path, headers=headers).status_code == status


def test_a_long_head_at_the_citrix_compatible_api_is_refused_in_its_envelope(app: Flask) -> None:
    headers = {"Auth_token": "a" * 9000}
    answer = Client(app, app.response_class).get("/xenmobile/api/v1/certificates", headers=headers)

    assert answer.status_code == 400
    assert json.loads(answer.data)["status"] == 400


@pytest.mark.parametrize(
    ("protocol", "host", "status"),
    [
        ("HTTP/1.1", "localhost", 200),
        ("HTTP/1.1", "a,a", 400),
        ("HTTP/1.1", "a,b", 400),
        ("HTTP/1.1", "", 400),
        ("HTTP/1.1", None, 400),
        ("HTTP/1", "", 200),
        ("HTTP/1.0", None, 200),
        ("HTTP/1.0", "a", 200),
        ("HTTP/1", "a,b", 400),
    ],
)
def test_a_request_names_one_host(app: Flask, protocol: str, host: str | None, status: int) -> None:
    environ = EnvironBuilder("/health/live").get_environ()
    del environ["HTTP_HOST"]
    environ |= {"SERVER_PROTOCOL": protocol} | ({} if host is None else {"HTTP_HOST": host})

    assert status_of(app, environ) == status
