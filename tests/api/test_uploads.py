"""A body in a content coding is refused by the name of the coding, on every path of both APIs."""

import gzip
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from bulkcert.wiring.service import Service
from tests.api.conftest import NewService, a_client, a_token, an_app
from tests.api.contract import document, resolved
from tests.builders import a_bundle


@pytest.fixture(scope="module")
def service(new_service: NewService) -> Service:
    return new_service()


@pytest.fixture(scope="module")
def app(service: Service) -> Flask:
    return an_app(service)


def bodies() -> Iterator[tuple[str, str, str]]:
    """Every path that reads a body, with each type of body that it reads."""
    for path, item in document()["paths"].items():
        for method in ("post", "put"):
            body = resolved(item.get(method, {}).get("requestBody", {}))
            for content_type, content in body.get("content", {}).items():
                if content["schema"]:  # else the body is not read
                    yield method, re.sub(r"{\w+}", "1", path), content_type


@pytest.mark.parametrize(
    ("coding", "named"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("br", "br"),
        ("gzip, br", "not known here"),
        ("hunter2", "not known here"),
    ],
)
def test_a_coded_body_is_refused_by_name(app: Flask, service: Service, coding: str, named: str) -> None:
    token = a_token(app, service)
    for method, path, content_type in bodies():
        is_citrix = path.startswith("/xenmobile")
        answer = a_client(app).open(
            path,
            method=method,
            query_string={"identity_type": "SERIAL_NUMBER"} if path.endswith("/raw") else {},
            data=gzip.compress(a_bundle(["A12BC3D4EFGH"])),
            content_type=f"{content_type}; boundary=x",
            headers={"Authorization": f"Bearer {token}", "Auth_token": token, "Content-Encoding": coding},
        )

        assert answer.status_code == (400 if is_citrix else 415), path
        assert answer.json is not None
        assert answer.json["code"] == "unsupported_media_type", path
        assert "(Content-Encoding: " in answer.text
        assert named in answer.text
        assert "hunter2" not in answer.text
        assert "without Content-Encoding" in answer.text
        assert answer.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("written", "named"), [("gzip, chunked", "gzip"), ("gzip", "gzip"), ("x, chunked", "not known here")]
)
def test_a_transfer_coding_is_refused_by_name(app: Flask, service: Service, written: str, named: str) -> None:
    answer = a_client(app).post(
        "/api/v1/imports/raw?identity_type=SERIAL_NUMBER",
        data=b"PK",
        content_type="application/zip",
        headers={"Authorization": f"Bearer {a_token(app, service)}", "Transfer-Encoding": written},
    )

    assert answer.status_code == 415
    assert "(Transfer-Encoding: " in answer.text
    assert named in answer.text


def test_a_body_that_says_that_it_is_not_coded_is_read(app: Flask, service: Service) -> None:
    headers = {"Authorization": f"Bearer {a_token(app, service)}", "Content-Encoding": "identity"}
    answer = a_client(app).post(
        "/api/v1/clients", json={"name": "x", "scopes": ["imports:read"]}, headers=headers
    )

    assert answer.status_code == 201
