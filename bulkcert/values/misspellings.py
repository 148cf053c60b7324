"""What is wrong with a text that should be a device identity and is none: named, so that it can be corrected.

Spreadsheets, exports and editors leave their marks in lists: quotes, columns, rounded numbers, comments,
header lines, paths, characters that nobody sees. A text is never repaired; it fails with its fault.
"""

import re
import unicodedata
from typing import NamedTuple

MOST_LOOKED_AT = 4096
"""Characters; every pattern below reads them once."""

_QUOTES = "\"'`´“”„‟«»‹›‘’‚‛"
_COMMENT = re.compile(r"#|//|;|--|rem\s", re.IGNORECASE)
_FORMULA = re.compile(r"=\s*\"([^\"]*)\"?")
_ROUNDED = re.compile(r"[0-9]{1,15}[.,][0-9]{1,15}[eE]\+?[0-9]{1,3}|[0-9]{1,15}[eE]\+[0-9]{1,3}")
_DECIMAL = re.compile(r"([0-9]{8,20})[.,]0{1,6}")
_COLUMNS = re.compile(r"[,;\t|]")
_PATH = re.compile(r"[/\\]")
_SUFFIXES = re.compile(r"(?:\.(?:p12|pfx|pkcs12))+\Z", re.IGNORECASE)
_DIGIT = re.compile(r"[0-9]")
_LONGEST_HEADER = 64
_NOT_A_LETTER = re.compile(r"[^a-z]")
_HEADER = re.compile(
    r"(?:device|phone|ios|mac)?(?:serial(?:number|no|num|nr)?s?|sn|seriennummer|imei(?:number|meid)?s?|meids?|udids?"
    r"|identit(?:y|ies)|identifiers?|ids?|names?|types?)"
    r"|devices?|file(?:name)?s?|pass(?:word|phrase|code)s?|credentials?"
)


class Misspelling(NamedTuple):
    """fault: a sentence that says what the text is. meant: the text without that, or None."""

    fault: str
    meant: str | None = None


def find_misspelling(text: str) -> Misspelling | None:
    """Return what is wrong with a text that is no device identity, or None where it is nothing of these."""
    text = text[:MOST_LOOKED_AT].strip()
    for find in (_odd_character, _comment, _formula, _quoted, _rounded, _columns, _path, _header, _suffix):
        if found := find(text):
            return found
    return None


def is_header(text: str) -> bool:
    """Whether a text is a word for a column ("Serial Number"): some of them read like serial numbers."""
    if len(text) > _LONGEST_HEADER or _DIGIT.search(text):
        return False
    return _HEADER.fullmatch(_NOT_A_LETTER.sub("", text.lower())) is not None


def name_character(char: str) -> str:
    """Name a character by its code point: U+200E (LEFT-TO-RIGHT MARK)."""
    name = unicodedata.name(char, "")
    return f"U+{ord(char):04X} ({name})" if name else f"U+{ord(char):04X}"


def is_invisible(char: str) -> bool:
    """Whether a character does not show: a control or format character, or a space that is not U+0020."""
    return char != " " and unicodedata.category(char) in {"Cc", "Cf", "Zs", "Zl", "Zp"}


def _odd_character(text: str) -> Misspelling | None:
    if text.isascii() and text.isprintable():
        return None
    invisible = next((char for char in text if is_invisible(char) and char != "\t"), None)
    if invisible is not None:
        meant = "".join(char for char in text if not is_invisible(char))
        return Misspelling(
            f"It holds the invisible character {name_character(invisible)}; type it anew.", meant
        )
    letter = next((char for char in text if not char.isascii() and char.isalnum()), None)
    if letter is not None:
        return Misspelling(f"It holds {name_character(letter)}, which is none of A-Z and 0-9; type it anew.")
    return None


def _comment(text: str) -> Misspelling | None:
    if _COMMENT.match(text):
        return Misspelling("This is a comment, and lists have none: take the line out.")
    return None


def _formula(text: str) -> Misspelling | None:
    if found := _FORMULA.match(text):
        fault = 'This is a formula of a spreadsheet (="..."): write the identity alone.'
        return Misspelling(fault, found[1].strip())
    return None


def _quoted(text: str) -> Misspelling | None:
    if not text or text[0] not in _QUOTES:
        return None
    if _COLUMNS.search(text):
        return _columns(text)
    if len(text) > 1 and text[-1] not in _QUOTES and text[0] == "'":
        fault = "It begins with an apostrophe, as numbers kept as text in a spreadsheet do: take it off."
        return Misspelling(fault, text[1:].strip())
    return Misspelling("It has quotation marks: write it without.", text.strip(_QUOTES).strip())


def _rounded(text: str) -> Misspelling | None:
    if _ROUNDED.fullmatch(text):
        fault = (
            "This is a number in scientific notation, as a spreadsheet rounds it: digits are lost. "
            "Format the column as text before the numbers are entered, and export again."
        )
        return Misspelling(fault)
    if found := _DECIMAL.fullmatch(text):
        return Misspelling("This is a number with decimals: write the digits alone.", found[1])
    return None


def _columns(text: str) -> Misspelling | None:
    if not _COLUMNS.search(text):
        return None
    first = _COLUMNS.split(text, maxsplit=1)[0].strip().strip(_QUOTES).strip()
    if is_header(first):
        return Misspelling("This is a header line with columns (CSV): take the line out.")
    fault = "This is a row with columns (CSV), which are not read: write one device in a line."
    return Misspelling(fault, first)


def _path(text: str) -> Misspelling | None:
    if not _PATH.search(text):
        return None
    last = _PATH.split(text)[-1]
    return Misspelling(
        "This is a path: write the name of the device without its folder.", _SUFFIXES.sub("", last)
    )


def _header(text: str) -> Misspelling | None:
    if is_header(text):
        return Misspelling("This is a header line: take the line out.")
    return None


def _suffix(text: str) -> Misspelling | None:
    without = _SUFFIXES.sub("", text)
    if without == text:
        return None
    return Misspelling("The ending of the file stands there twice: write it once.", without)
