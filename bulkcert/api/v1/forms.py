"""Multipart forms of door two: one file, and fields by a schema."""

from typing import Any, BinaryIO

from marshmallow import Schema

from bulkcert.api.parsing import load
from bulkcert.api.uploads import read_form


def read_file_and_fields(name: str, schema: Schema) -> tuple[dict[str, Any], BinaryIO]:
    """Read a form that holds the file `name` and the fields of `schema`, and nothing else.

    Raises as `read_form` and `load` do.
    """
    form = read_form()
    others = {other: ["a file"] * len(files) for other, files in form.files.items() if other != name}
    written = {field: values for field, values in form.fields.items() if field != name}
    fields = load(schema, written | others)
    return fields, form.file(name)
