"""The multipart form of the Citrix-compatible API: a part of JSON, and the file `uploadFile`."""

import re
from dataclasses import dataclass
from typing import BinaryIO

from flask import request

from bulkcert.api import uploads
from bulkcert.api.citrix import tolerant_json
from bulkcert.api.citrix.members import Members
from bulkcert.errors import MalformedRequest

_UNQUOTED_BOUNDARY = re.compile(r"boundary=(?P<boundary>[^\s\";,][^\";]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """The members of the JSON part, and the file at its start."""

    members: Members
    file: BinaryIO


def read_form(json_part: str) -> Form:
    """Parse the form in the body of this request; parts of other names are ignored.

    Raises as `uploads.read_form` does, and MalformedRequest for a missing or repeated part.
    """
    if boundary := unquoted_boundary(request.content_type or ""):
        request.mimetype_params["boundary"] = boundary
    form = uploads.read_form()
    return Form(Members(json_part, _json(form, json_part)), form.file("uploadFile"))


def unquoted_boundary(content_type: str) -> str | None:
    """Return a boundary without quotes, None for a quoted one. Clients omit quotes even where required.

    RFC 2046 §5.1.1 allows `/`, `:`, `=`, `?` and more in a boundary; RFC 2045 §5.1 requires quotes around
    those, and without quotes Werkzeug ends the boundary at the first of them.
    """
    match = _UNQUOTED_BOUNDARY.search(content_type)
    return match["boundary"].rstrip() if match else None


def _json(form: uploads.Form, part: str) -> dict[str, object]:
    """Parse the JSON part, which some clients send as a file."""
    texts, files = form.fields.get(part, []), form.files.get(part, [])
    if len(texts) + len(files) != 1:
        raise MalformedRequest(f"The form has {len(texts) + len(files)} parts named {part}, not one.")
    return tolerant_json.parse_object(texts[0]) if texts else tolerant_json.read_object(files[0])
