"""Holds answers to openapi.yaml: the status is documented, the type, the members and the headers are right."""

import functools
import re
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.test import Client, TestResponse

from tests.paths import ROOT


@functools.cache
def document() -> dict[str, Any]:
    return yaml.load((ROOT / "openapi.yaml").read_text(), yaml.CSafeLoader)  # safe_load takes 2 s


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = document()
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


@functools.cache
def patterns() -> dict[str, re.Pattern[str]]:
    return {
        template: re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))
        for template in document()["paths"]
    }


def template_of(path: str) -> str | None:
    """The path of the contract that a request's path falls under: the most literal one."""
    fitting = [template for template, pattern in patterns().items() if pattern.fullmatch(path)]
    return min(fitting, key=lambda template: template.count("{"), default=None)


def validate(instance: object, schema: dict[str, Any]) -> None:
    whole = {"components": document()["components"], **schema}
    validator = Draft202012Validator(whole, format_checker=FormatChecker())
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]
    assert problems == []


def check(method: str, path: str, answer: TestResponse) -> None:
    """Assert that an answer of `/api/v1`, or of the health paths, is one that the contract promises."""
    template = template_of(path.rstrip("/") or "/")
    operation = document()["paths"].get(template, {}).get("get" if method == "HEAD" else method.lower())
    if operation is None:
        assert answer.status_code in {404, 405}, (method, path)
        promised: dict[str, Any] = resolved({"$ref": "#/components/responses/NotFound"})
    else:
        responses = operation["responses"]
        status = str(answer.status_code)
        assert status in responses or f"{status[0]}XX" in responses, (method, template, status)
        promised = resolved(responses.get(status) or responses[f"{status[0]}XX"])
    for name, header in promised.get("headers", {}).items():
        if resolved(header).get("required") or name in answer.headers:
            assert name in answer.headers, (template, name)
            validate(answer.headers[name], resolved(header)["schema"])
    if method != "HEAD":
        check_body(promised, answer)


def check_body(promised: dict[str, Any], answer: TestResponse) -> None:
    if "content" not in promised:
        assert answer.data == b""
        return
    assert answer.mimetype in promised["content"]
    body: Any = answer.json if answer.is_json else answer.text
    assert body is not None
    validate(body, promised["content"][answer.mimetype]["schema"])
    if answer.mimetype == "application/problem+json":
        assert answer.json["status"] == answer.status_code


class ContractClient(Client):
    """A test client whose every answer is held to the contract."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, **{"buffered": True} | kwargs)
        path = answer.request.path
        if not path.startswith(("/xenmobile", "//")):
            check(answer.request.method, path, answer)
        return answer
