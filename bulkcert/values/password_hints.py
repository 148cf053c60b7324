"""What may have slipped into a password that opens nothing: the marks of editors and spreadsheets."""

from collections.abc import Iterator

from bulkcert.values.misspellings import is_invisible, name_character
from bulkcert.values.secret import Secret

_QUOTES = "\"'`"
_TYPOGRAPHIC = "“”„‟‘’‚‛«»‹›–—…"


def describe_oddities(password: Secret) -> str:
    """Return sentences on what may have slipped into a password, or nothing.

    password: UTF-8, as it stands in the credentials file. No character of it is told but the odd ones.
    """
    text = password.reveal().decode(errors="replace")
    return " ".join(_oddities(text))


def _oddities(text: str) -> Iterator[str]:
    if not text:
        yield "It is empty: nothing follows the '='."
        return
    if text[0] in " \t":
        yield "It begins with a space: write no spaces around the '='."
    if text[-1] in " \t":
        yield "It ends with a space, which belongs to it: take it out."
    inner = text.strip()
    if len(inner) > 1 and inner[0] == inner[-1] and inner[0] in _QUOTES:
        yield "It stands in quotation marks, which belong to it: take them out."
    if typographic := next((char for char in text if char in _TYPOGRAPHIC), None):
        yield f"It holds {name_character(typographic)}, as text programs put in place of what was typed."
    if invisible := next((char for char in text if is_invisible(char) and char != "\t"), None):
        yield f"It holds the invisible character {name_character(invisible)}."
    if inner.endswith((",", ";")):
        yield "It ends with a comma or a semicolon, as the rows of a spreadsheet (CSV) do."
    if " #" in inner:
        yield "It holds a '#' after a space: lines have no comments, so that belongs to it."
