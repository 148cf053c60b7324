"""What stands in a path. One that is malformed gets the very answer of one that is unknown."""

import re

from werkzeug.routing import BaseConverter, Map

from bulkcert.errors import NotFound

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_WORD = re.compile(r"[A-Za-z0-9._@+-]{1,100}")


class IdExcept(BaseConverter):
    """An id in a route, but for one word: the path of that name has other methods, and says so (405)."""

    def __init__(self, url_map: Map, word: str) -> None:
        super().__init__(url_map)
        self.regex = f"(?!{word}$)[^/]+"


def number(written: str) -> int:
    """Read the number of a certificate; 0, which is nobody's, where it is none."""
    return int(written) if _NUMBER.fullmatch(written) else 0


def word(written: str, kind: str) -> str:
    """Read a login, a client's or a session's id, or raise `NotFound`; kind: what there is none of."""
    if not _WORD.fullmatch(written):
        raise NotFound(f"There is no such {kind}.")
    return written
