"""JSON as people type it, like the samples in the vendor's articles and scripts copied from them.

Beyond RFC 8259: one trailing comma, strings in single or curly quotes, `#` comments to the end of the line,
`=` for `:`, a bare word as a value (`'useAs':apns`), and a byte order mark or no-break spaces between tokens.
Standard JSON is parsed as `json.loads` does, except that nesting deeper than `DEEPEST` and lone surrogates,
which no database and no answer can hold (RFC 8259 §8.2), are refused. The extensions are never written.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, NoReturn

from bulkcert.errors import MalformedRequest

LONGEST = 64 * 1024
"""Limit of characters in a document; the JSON parts of this API have a few hundred."""

DEEPEST = 32
"""Limit of nested arrays and objects; the documents of this API need 2."""

_TOKEN = re.compile(
    r"""
      (?P<space>        [\s\ufeff]++ | \#[^\r\n]*+ )
    | (?P<mark>         [{}\[\],:=] )
    | (?P<string>       "(?:[^"\\]++|\\.)*+" )
    | (?P<odd_string>   '(?:[^'\\]++|\\.)*+' | [“”](?:[^“”\\]++|\\.)*+[“”] | [‘’](?:[^‘’\\]++|\\.)*+[‘’] )
    | (?P<scalar>       (?: -?[0-9] [0-9.eE+-]*+ | true | false | null ) (?![\w.+-]) )
    | (?P<word>         [A-Za-z_] [A-Za-z0-9_.-]*+ (?![^\s,\]}\#]) )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE_OR_QUOTE = re.compile(r"\\(.)|\"", re.DOTALL)
_LINE_END = re.compile(r"\r\n|\r|\n")


class _Token(NamedTuple):
    kind: str  # "mark", "string", "scalar", "word" or "end"
    text: str
    at: int


def parse(text: str) -> object:
    """Parse a document into dict, list, str, int, float, bool and None.

    Raises `MalformedRequest` with line and column (both from 1) but no content, which may be a password.
    """
    if len(text) > LONGEST:
        raise MalformedRequest(f"The JSON is longer than {LONGEST} characters.")
    return _Parser(text).document()


def parse_object(text: str) -> dict[str, object]:
    """Parse a document that is an object. Raises `MalformedRequest`."""
    value = parse(text)
    if not isinstance(value, dict):
        raise MalformedRequest("The JSON is not an object in braces.")
    return value


def read_object(file: BinaryIO) -> dict[str, object]:
    """Parse a body or uploaded file that is an object, reading no more of it than the limit."""
    most_bytes = 4 * LONGEST  # UTF-8 has at most four bytes for a character
    return parse_object(_decode(file.read(most_bytes + 1)))


def _decode(content: bytes) -> str:
    # Windows PowerShell writes redirected output as UTF-16 with a byte order mark.
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise MalformedRequest("The JSON is not text in UTF-8.") from None


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            _refuse(text, at, _trouble_with(text[at]))
        match match.lastgroup:
            case "odd_string":
                yield _Token("string", _as_standard_string(match[0]), at)
            case "word":
                yield _Token("word", f'"{match[0]}"', at)
            case "mark" | "string" | "scalar" as kind:
                yield _Token(kind, match[0], at)
        at = match.end()
    yield _Token("end", "", at)


def _as_standard_string(written: str) -> str:
    """Replace the quotes around a string by double quotes, so that `json` can parse its escapes."""

    def escape(match: re.Match[str]) -> str:
        escaped = match[1]
        if escaped is None:
            return '\\"'
        return escaped if escaped in "'‘’“”" else match[0]

    return '"' + _ESCAPE_OR_QUOTE.sub(escape, written[1:-1]) + '"'


def _trouble_with(character: str) -> str:
    if character in "\"'“”‘’":
        return "a string begins that does not end with the same kind of quote"
    return "a string, number, true, false, null or one of {}[],: is expected"


class _Parser:
    """A recursive descent parser with one token of lookahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def document(self) -> object:
        value = self._value(depth=0)
        if self._next.kind != "end":
            self._refuse("the document should end")
        return value

    def _value(self, depth: int) -> object:
        if depth > DEEPEST:
            self._refuse(f"the nesting is deeper than {DEEPEST}")
        if self._next.kind in {"string", "scalar"} or (self._next.kind == "word" and depth):
            return self._scalar()
        if self._takes("{"):
            return self._object(depth + 1)
        if self._takes("["):
            return self._array(depth + 1)
        return self._refuse("a value is expected")

    def _object(self, depth: int) -> dict[str, object]:
        members: dict[str, object] = {}
        while not self._takes("}"):
            if self._next.kind != "string":
                self._refuse("a name in quotes, or }, is expected")
            name = str(self._scalar())
            if not self._takes(":", "="):
                self._refuse("a colon is expected after the name")
            members[name] = self._value(depth)
            self._end_of_element("}")
        return members

    def _array(self, depth: int) -> list[object]:
        elements: list[object] = []
        while not self._takes("]"):
            elements.append(self._value(depth))
            self._end_of_element("]")
        return elements

    def _end_of_element(self, closing: str) -> None:
        if not self._takes(",") and self._next.text != closing:
            self._refuse(f"a comma or {closing} is expected")

    def _scalar(self) -> object:
        """Parse a string, number or literal by `json`."""
        try:
            value: object = json.loads(self._next.text)
            if isinstance(value, str):
                value.encode()
        except UnicodeEncodeError:
            self._refuse("a string holds half of a surrogate pair")
        except ValueError:  # a bad escape, a control character, 01, more digits than Python reads
            self._refuse("a string or number is not of the form that JSON has")
        self._next = next(self._tokens)
        return value

    def _takes(self, *marks: str) -> bool:
        if self._next.kind != "mark" or self._next.text not in marks:
            return False
        self._next = next(self._tokens)
        return True

    def _refuse(self, trouble: str) -> NoReturn:
        _refuse(self._text, self._next.at, trouble)


def _refuse(text: str, at: int, trouble: str) -> NoReturn:
    line_starts = [0, *(match.end() for match in _LINE_END.finditer(text, 0, at))]
    column = at - line_starts[-1] + 1
    message = f"The JSON cannot be read at line {len(line_starts)}, column {column}: {trouble}."
    raise MalformedRequest(message) from None  # the cause would hold the content
