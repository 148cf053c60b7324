"""Logins: how two are compared, and what a new one may be.

Logins of users and ids of clients share one name space: both stand in events as the name of who did it.
"""

import re
import unicodedata
from typing import NewType

from bulkcert.errors import MalformedRequest

LoginKey = NewType("LoginKey", str)
"""What a login is found, counted and kept apart by."""

LONGEST = 100
"""Characters of a login."""

_MOST_COMPARED = 255
"""Characters. A longer text is nobody's login, and Unicode's normal forms take quadratic time."""

_FORM = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@+-]{{0,{LONGEST - 1}}}")
"""Letters of one alphabet in their plain form, so that no letter of another script looks like one of them."""

_ACTORS = {"system", "unknown", "cli"}
"""Events name them as actors; those of commands (`cli:root`) have a colon, which no login has."""

CLIENT_PREFIX = "client-"
"""The ids of clients begin so."""


def key_of(login: str) -> LoginKey:
    """Return the key of a login: equal for all spellings that differ by case or compatible forms only.

    NFKC and case folding (Unicode §3.13, D146): `Administrator` is `administrator`, and so is that in
    full-width letters.
    """
    if len(login) > _MOST_COMPARED:
        return LoginKey(login)
    folded = unicodedata.normalize("NFKC", login).casefold()
    return LoginKey(unicodedata.normalize("NFKC", folded))


def check_new_login(login: str) -> None:
    """Raise `MalformedRequest` for a user's login that is no plain word, or reads like somebody else."""
    if not _FORM.fullmatch(login):
        raise MalformedRequest(
            f"A login has 1 to {LONGEST} letters and digits (ASCII), and any of `.` `_` `@` `+` `-`."
        )
    key = key_of(login)
    if key in _ACTORS or key.startswith(CLIENT_PREFIX):
        raise MalformedRequest(
            "`system`, `unknown`, `cli` and what begins with `client-` are no logins of users: events name"
            " the service, strangers, commands and clients so."
        )
