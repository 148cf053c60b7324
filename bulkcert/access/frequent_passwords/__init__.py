"""The passwords that most people choose, which are guessed first.

`passwords.txt.gz`: the 10,000 most frequent passwords of the list `passwords` in npm's
@zxcvbn-ts/language-common 4.1.3, and the others of that list that have twelve characters or more; one on each
line, folded. Its licence (MIT) lies beside it.
"""

import gzip
import string
import unicodedata
from pathlib import Path

_LIST = Path(__file__).parent / "passwords.txt.gz"
_AROUND = string.digits + string.punctuation + string.whitespace


def is_frequent(password: str) -> bool:
    """Return whether a password is a frequent one, or one with little around it.

    That is: in any case and any compatible form of its letters, repeated, and with digits and punctuation
    before and after it that are no longer than itself. The list is read each time, in some 10 ms, so that it
    needs no memory.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", password).casefold())
    core = folded.strip(_AROUND)
    sought = {folded, _repeated(folded)}
    if 2 * len(core) >= len(folded):
        sought |= {core, _repeated(core)}
    with gzip.open(_LIST, "rt", encoding="utf-8") as lines:
        return any(line.rstrip("\n") in sought for line in lines)


def _repeated(text: str) -> str:
    """Return the shortest text that this one repeats: itself, where it repeats none."""
    return text[: (text + text).find(text, 1)]
