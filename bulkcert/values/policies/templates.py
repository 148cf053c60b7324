"""The template of a local identifier: text with fields that each device's certificate fills.

`{field}` stands for a field, `{{` and `}}` for braces; nothing else with a brace is taken. There is no
formatting behind it (`str.format` would look up attributes that a hostile template names).
"""

import enum
import re
from collections.abc import Callable

_PIECE = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<field>[^{}]*)\}|(?P<text>[^{}]+)")


class Field(enum.StrEnum):
    """What a template may name.

    identity: the device identity in normal form. san_dns, san_email: the first subject alternative name of
    that kind. common_name: of the subject (the last one, where there are several).
    """

    IDENTITY = "identity"
    SAN_DNS = "san_dns"
    SAN_EMAIL = "san_email"
    COMMON_NAME = "common_name"


def no_template(text: str) -> str | None:
    """Return what keeps a text from being a template."""
    if "".join(piece[0] for piece in _PIECE.finditer(text)) != text:
        return "A brace stands alone: write {identity} for a field, and {{ or }} for a brace."
    named = {piece["field"] for piece in _PIECE.finditer(text)} - {None}
    if not named <= set(Field):
        return f"The fields are {', '.join(f'{{{field}}}' for field in Field)}."
    return None


def fill(template: str, value_of: Callable[[Field], str]) -> str:
    """Fill a template that is known to be one; `value_of` gives the text of a field, or raises."""

    def filled(piece: re.Match[str]) -> str:
        if piece["field"] is not None:
            return value_of(Field(piece["field"]))
        return piece["brace"][0] if piece["brace"] else piece["text"]

    return "".join(filled(piece) for piece in _PIECE.finditer(template))
