"""Strict parsing of JSON bodies, query parameters and form fields by a schema.

Unknown names are refused. A fault names the place and the rule, never the value, which may be a password in
the wrong field.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from flask import request
from marshmallow import Schema, ValidationError

from bulkcert.errors import Fault, MalformedRequest, UnsupportedMediaType

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MOST_FAULTS = 100
"""Faults listed in one refusal; a longer list helps nobody."""

SMALL_BODY_BYTES = 64 * 1024
"""Largest JSON or urlencoded body, except where a view allows more."""

_BLOCK_BYTES = 64 * 1024
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read_query(schema: Schema) -> dict[str, Any]:
    """Parse the query parameters of this request. Raises `MalformedRequest`, or as the schema does."""
    return load(schema, dict(request.args.lists()))


def read_json(schema: Schema, most_bytes: int = SMALL_BODY_BYTES) -> dict[str, Any]:
    """Parse the JSON object in the body of this request.

    Raises UnsupportedMediaType, RequestEntityTooLarge, MalformedRequest, or as the schema does.
    """
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != JSON or charset not in {"utf-8", "us-ascii"}:
        raise UnsupportedMediaType(f"The body is not {JSON} in UTF-8.")
    return _load(schema, parse_object(read_body(most_bytes)))


def read_urlencoded(schema: Schema) -> dict[str, Any]:
    """Parse the urlencoded form in the body of this request; raises as `read_json` does."""
    if request.mimetype != FORM:
        raise UnsupportedMediaType(f"The body is not {FORM}.")
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(
        read_body(SMALL_BODY_BYTES).decode(errors="replace"), keep_blank_values=True
    ):
        fields.setdefault(name, []).append(value)
    return load(schema, fields)


def read_body(most_bytes: int) -> bytes:
    """Return the whole body of this request; Werkzeug refuses a longer one (413), announced or not."""
    request.max_content_length = most_bytes + 1  # its streams refuse the last byte that they allow
    return b"".join(iter(lambda: request.stream.read(_BLOCK_BYTES), b""))


def load(schema: Schema, written: Mapping[str, list[str]]) -> dict[str, Any]:
    """Parse parameters or form fields by a schema; a repeated name is refused."""
    repeated = [name for name, values in written.items() if len(values) != 1]
    if repeated:
        raise MalformedRequest(
            "A parameter stands more than once.",
            tuple(Fault(_name(name), "It stands more than once.") for name in repeated),
        )
    return _load(schema, {name: values[0] for name, values in written.items()})


def parse_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object (RFC 8259): UTF-8, each name once, no NaN, no half surrogates.

    Raises `MalformedRequest`, whose text never quotes the content.
    """
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_each_name_once, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8 form
    except RecursionError:
        raise MalformedRequest("The JSON is nested too deep.") from None
    except UnicodeError:
        raise MalformedRequest("The JSON is not text in UTF-8.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedRequest(f"The body is not JSON: see {place}.") from None
    except ValueError:  # a number with more digits than Python parses
        raise MalformedRequest("The JSON holds a number that is too long.") from None
    if not isinstance(value, dict):
        raise MalformedRequest("The JSON is not an object in braces.")
    return value


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedRequest("The JSON holds the same name twice in one object.")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedRequest("The JSON holds NaN or Infinity, which are not JSON.")


def _load(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(values)
    except ValidationError as error:
        faults = tuple(islice(_faults(error.messages, ""), MOST_FAULTS))
    else:
        return loaded
    raise MalformedRequest("The request is not of the form that the contract says.", faults)


def _faults(messages: object, where: str) -> Iterator[Fault]:
    """Yield the faults in marshmallow's tree of messages: members by name, elements by number."""
    if isinstance(messages, dict):
        for name, below in messages.items():
            if isinstance(name, int):
                yield from _faults(below, f"{where}[{name}]")
            else:
                yield from _faults(below, f"{where}.{_name(name)}".lstrip("."))
    elif isinstance(messages, list):
        yield from (Fault(where, str(message)) for message in messages)


def _name(name: str) -> str:
    """Return a name that the client chose, or a placeholder if it could be a value or markup."""
    return name if _SAFE_NAME.fullmatch(name) else "(a name that is not shown)"
