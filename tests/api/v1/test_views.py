"""The decorators of views: a request is parsed by a schema before its view is called, and its result written."""

from typing import Any

import pytest
from flask import Flask
from marshmallow import Schema, fields
from werkzeug.test import Client, TestResponse

from bulkcert.api.v1.schemas import pages
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.errors import MalformedRequest, UnsupportedMediaType
from bulkcert.values.pages import Page


class Named(Schema):
    name = fields.String(required=True)


@pytest.fixture
def client() -> Client:
    app = Flask(__name__)
    app.register_error_handler(MalformedRequest, lambda refusal: (str(refusal), 400))
    app.register_error_handler(UnsupportedMediaType, lambda refusal: (str(refusal), 415))

    @app.post("/nothing/<number>")
    @reads()
    def nothing(number: str) -> Values:
        return {"read": None, "number": number}

    @app.post("/query/<number>")
    @reads(query=Named)
    def query(values: Values, number: str) -> Values:
        return {"read": values, "number": number}

    @app.post("/body/<number>")
    @reads(body=Named)
    def body(values: Values, number: str) -> Values:
        return {"read": values, "number": number}

    @app.post("/form/<number>")
    @reads(form=Named)
    def form(values: Values, number: str) -> Values:
        return {"read": values, "number": number}

    @app.get("/one")
    @answers(Named, status=201)
    def one() -> Values:
        return {"name": "one", "password": "never written"}

    @app.get("/page")
    @reads(query=pages.PageQuery)
    @answers(Named)
    def page(values: Values) -> Page[Values]:
        return Page(({"name": "first"}, {"name": "second"}), next_cursor=f"after {values['limit']}")

    return app.test_client()


def sent(client: Client, kind: str, path: str = "1", **changes: Any) -> TestResponse:
    parts: dict[str, dict[str, Any]] = {
        "nothing": {},
        "query": {"query_string": {"name": "a name"}},
        "body": {"json": {"name": "a name"}},
        "form": {"data": {"name": "a name"}},
    }
    return client.post(f"/{kind}/{path}", **parts[kind] | changes)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("nothing", None),
        ("query", {"name": "a name"}),
        ("body", {"name": "a name"}),
        ("form", {"name": "a name"}),
    ],
)
def test_a_view_gets_the_values_of_its_schema_and_the_parameters_of_its_path(
    client: Client, kind: str, values: Values | None
) -> None:
    answer = sent(client, kind, "17")

    assert (answer.status_code, answer.json) == (200, {"read": values, "number": "17"})


@pytest.mark.parametrize("kind", ["nothing", "query", "body", "form"])
def test_a_query_parameter_without_a_schema_is_refused(client: Client, kind: str) -> None:
    assert sent(client, kind, query_string={"name": "a name", "colour": "red"}).status_code == 400


@pytest.mark.parametrize("kind", ["body", "form"])
def test_a_query_parameter_is_refused_although_the_body_has_its_name(client: Client, kind: str) -> None:
    assert sent(client, kind, query_string={"name": "a name"}).status_code == 400


@pytest.mark.parametrize(
    ("kind", "changes", "status"),
    [
        ("query", {"query_string": {}}, 400),
        ("body", {"json": {}}, 400),
        ("body", {"json": None, "data": {"name": "a name"}}, 415),
        ("form", {"data": {"colour": "red"}}, 400),
        ("form", {"data": None, "json": {"name": "a name"}}, 415),
    ],
)
def test_a_request_that_does_not_fit_its_schema_does_not_reach_the_view(
    client: Client, kind: str, changes: dict[str, Any], status: int
) -> None:
    assert sent(client, kind, **changes).status_code == status


def test_a_result_is_written_by_its_schema_with_the_status_of_the_view(client: Client) -> None:
    answer = client.get("/one")

    assert (answer.status_code, answer.json) == (201, {"name": "one"})


def test_a_page_is_written_as_its_items_and_the_cursor_of_the_next(client: Client) -> None:
    answer = client.get("/page?limit=2")

    assert answer.json == {"items": [{"name": "first"}, {"name": "second"}], "next_cursor": "after 2"}


def test_decorators_keep_the_name_and_the_marks_of_a_view() -> None:
    """Flask names endpoints by the first; authorization reads the second."""

    def view() -> Values:
        return {}

    view.mark = "a scope"  # type: ignore[attr-defined]
    decorated = reads()(answers(Named)(view))

    assert (decorated.__name__, vars(decorated)["mark"]) == ("view", "a scope")
