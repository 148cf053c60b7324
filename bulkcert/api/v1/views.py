"""Decorators of views: `reads` parses the request by a schema, `answers` writes the result by a schema.

They stand below the decorators of `authorization`. A view whose answer needs more, such as a Location header,
calls `jsonify` itself.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from flask import Response, jsonify
from marshmallow import Schema

from bulkcert.api.parsing import read_json, read_query, read_urlencoded
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.schemas.pages import Nothing
from bulkcert.values.pages import Page

P = ParamSpec("P")
R = TypeVar("R")

Values = dict[str, Any]
"""The values that a schema read, by the name of their attribute."""


@overload
def reads() -> Callable[[Callable[P, R]], Callable[P, R]]: ...
@overload
def reads(*, query: type[Schema]) -> Callable[[Callable[Concatenate[Values, P], R]], Callable[P, R]]: ...
@overload
def reads(*, body: type[Schema]) -> Callable[[Callable[Concatenate[Values, P], R]], Callable[P, R]]: ...
@overload
def reads(*, form: type[Schema]) -> Callable[[Callable[Concatenate[Values, P], R]], Callable[P, R]]: ...


def reads(
    *, query: type[Schema] | None = None, body: type[Schema] | None = None, form: type[Schema] | None = None
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Parse the request, and call the view with the values before the parameters of its path.

    Only a view with a schema for its query takes query parameters; `reads()` takes nothing at all.

    Args:
        query: the schema of the query parameters.
        body: the schema of a JSON body of at most `SMALL_BODY_BYTES`.
        form: the schema of an urlencoded body of the same size.
    """
    parameters, content = (query or Nothing)(), (body or form or Nothing)()

    def decorate(view: Callable[..., R]) -> Callable[..., R]:
        @wraps(view)
        def call(*args: object, **path: object) -> R:
            values = read_query(parameters)
            if body is not None:
                values = read_json(content)
            elif form is not None:
                values = read_urlencoded(content)
            elif query is None:
                return view(*args, **path)
            return view(values, *args, **path)

        return call

    return decorate


def answers(
    schema: type[Schema], status: int = 200
) -> Callable[[Callable[P, object]], Callable[P, Response]]:
    """Write the result of a view as JSON; a `Page` becomes its items and the cursor of the next page."""
    writer = schema()

    def decorate(view: Callable[P, object]) -> Callable[P, Response]:
        @wraps(view)
        def call(*args: P.args, **path: P.kwargs) -> Response:
            found = view(*args, **path)
            response = jsonify(dump_page(found, writer) if isinstance(found, Page) else writer.dump(found))
            response.status_code = status
            return response

        return call

    return decorate
