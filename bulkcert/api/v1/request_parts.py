"""Parts of a request that several views read: ids in paths, forms with a file, headers, further scopes."""

import re
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

from flask import g, request
from marshmallow import Schema
from werkzeug.routing import BaseConverter, Map

from bulkcert.api import context
from bulkcert.api.parsing import load
from bulkcert.api.uploads import read_form
from bulkcert.errors import InsufficientScope, NotFound
from bulkcert.values.idempotency import check_key
from bulkcert.values.principals import Scope

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,100}")
_SECONDS = re.compile(r"[0-9]{1,9}")


# --- ids in paths: a malformed one gets the same answer as an unknown one ---------------------------


class IdExcept(BaseConverter):
    """An id in a route, except for one word: the path of that name has other methods and answers 405."""

    def __init__(self, url_map: Map, word: str) -> None:
        super().__init__(url_map)
        self.regex = f"(?!{word}$)[^/]+"


def parse_id(written: str) -> int:
    """Return the number that an id in a path stands for; 0, which no row has, for a malformed one."""
    return int(written) if _NUMBER.fullmatch(written) else 0


def parse_name(written: str, kind: str) -> str:
    """Return a login, or the id of a client or session. kind: the noun for the text of `NotFound`."""
    if not _NAME.fullmatch(written):
        raise NotFound(f"There is no such {kind}.")
    return written


# --- scopes -----------------------------------------------------------------------------------------


def require_scope(scope: Scope, part: str) -> None:
    """Raise `InsufficientScope` unless the caller's token carries the scope that a part of the request needs.

    part: named in the text, e.g. a query parameter. The scopes that a whole view needs stand at the view.
    """
    if scope not in context.caller().scopes:
        g.missing_scopes = frozenset({scope})
        raise InsufficientScope(f"The token does not carry what {part} needs: {scope}.")


# --- forms ------------------------------------------------------------------------------------------


def read_file_and_fields(name: str, schema: Schema) -> tuple[dict[str, Any], BinaryIO]:
    """Parse a multipart form that holds the file `name`, the fields of `schema` and nothing else.

    Raises as `read_form` and `load` do.
    """
    form = read_form()
    others = {other: ["a file"] * len(files) for other, files in form.files.items() if other != name}
    written = {field: values for field, values in form.fields.items() if field != name}
    fields = load(schema, written | others)
    return fields, form.file(name)


# --- headers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wait:
    """The time that a request waits for its import. applied: the preference that set it, None for none."""

    seconds: float
    applied: str | None

    @classmethod
    def from_request(cls, default: float, longest: float) -> Self:
        """Parse `Prefer: respond-async` and `wait=N` (RFC 7240); other preferences are ignored (§2)."""
        preferences = _preferences()
        wait = preferences.get("wait", "")
        if _SECONDS.fullmatch(wait):
            seconds = min(float(wait), longest)
            asynchronous = "respond-async, " if "respond-async" in preferences else ""
            return cls(seconds, f"{asynchronous}wait={seconds:g}")  # both together: §4.3
        if "respond-async" in preferences:
            return cls(0, "respond-async")
        return cls(min(default, longest), None)


def _preferences() -> dict[str, str]:
    """Return the preferences of the request; of a repeated name the first counts (RFC 7240 §2)."""
    found: dict[str, str] = {}
    for written in ",".join(request.headers.getlist("Prefer")).split(","):
        name, _, value = written.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def idempotency_key() -> str | None:
    """Return the header `Idempotency-Key`, None without one. Raises `MalformedRequest`."""
    written = request.headers.get("Idempotency-Key")
    return None if written is None else check_key(written)
