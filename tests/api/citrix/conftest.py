"""A client of this API: it shows its token as scripts do, and sends bodies byte for byte."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from bulkcert.values.principals import Scope
from bulkcert.wiring.service import Service
from tests.api import contract
from tests.api.conftest import PASSWORD, NewService, a_client, a_token

BASE = "/xenmobile/api/v1"
BOUNDARY = "bulkcert-test"


@dataclasses.dataclass(frozen=True)
class CitrixCaller:
    client: Client
    token: str = ""

    def open(
        self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any
    ) -> TestResponse:
        shown = {"Auth_token": self.token} if self.token else {}
        answer = self.client.open(BASE + path, method=method, headers=shown | (headers or {}), **rest)
        described = contract.document()["paths"].get(contract.template_of(BASE + path), {})
        if method.lower() in described:
            contract.check(method, BASE + path, answer)
        return answer

    def get(self, path: str, **rest: Any) -> TestResponse:
        return self.open("GET", path, **rest)

    def post(self, path: str, body: str | bytes = b"", **rest: Any) -> TestResponse:
        return self.open("POST", path, data=body, content_type="application/json", **rest)

    def post_form(self, path: str, *parts: bytes, content_type: str | None = None) -> TestResponse:
        body = a_body(*parts)
        content_type = content_type or f"multipart/form-data; boundary={BOUNDARY}"
        return self.open("POST", path, data=body, content_type=content_type)

    def upload(self, bundle: bytes, members: str) -> TestResponse:
        path = "/certificates/import/keystore/device"
        return self.post_form(path, a_field("certImportData", members), a_file("uploadFile", bundle))

    def remove(self, listed: bytes, members: str) -> TestResponse:
        path = "/certificates/remove/keystore/device"
        return self.post_form(
            path, a_field("certRemoveData", members), a_file("uploadFile", listed, "remove.txt")
        )


def a_field(name: str, text: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode()


def a_file(name: str, content: bytes, filename: str = "bundle.zip") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    return head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content


def a_body(*parts: bytes, boundary: str = BOUNDARY) -> bytes:
    delimiter = f"--{boundary}".encode()
    return b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def a_citrix_caller(app: Flask, service: Service, scopes: Iterable[Scope] = tuple(Scope)) -> CitrixCaller:
    return CitrixCaller(a_client(app), a_token(app, service, scopes))


@pytest.fixture
def service(new_service: NewService) -> Service:
    """One whose imports end soon, for a bundle that should have been refused is not waited for long."""
    return new_service(citrix_wait_seconds=30)


@pytest.fixture
def citrix(app: Flask, service: Service) -> CitrixCaller:
    """The administrator, logged in."""
    return a_citrix_caller(app, service)


@pytest.fixture
def stranger(app: Flask) -> CitrixCaller:
    """Somebody without a token."""
    return CitrixCaller(a_client(app))


@pytest.fixture
def password() -> str:
    return PASSWORD


def refusal_of(answer: TestResponse) -> tuple[int, str]:
    """The status and the code of a refusal, which is one envelope everywhere in this API."""
    envelope = answer.json
    assert envelope is not None
    assert list(envelope)[:3] == ["status", "message", "code"]
    assert envelope["status"] == answer.status_code
    assert envelope["message"].endswith(".")
    return answer.status_code, envelope["code"]
