"""The names of a zip's entries: which are junk, which are PKCS#12, what is wrong with one, how to show one.

A name is never a path here: nothing is written under it. It is matched with a device identity and shown.
"""

import functools
import re
import unicodedata

from bulkcert.values.misspellings import name_character

LONGEST_SHOWN = 120
"""Characters. A hundred thousand names are kept while a bundle is accepted; longer ones cost memory only."""

_LONGEST_NAME = 255
_PKCS12_SUFFIX = re.compile(r"\.(?:p12|pfx|pkcs12)\Z", re.IGNORECASE)
_AFTER_SUFFIX = ". \t\r\n\u00a0\u3000\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""Blanks, dots and characters that nobody sees, which may follow a suffix and hide it."""

_DRIVE = re.compile(r"[A-Za-z]:")
_JUNK = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def shown(text: str, most: int = LONGEST_SHOWN) -> str:
    """Make hostile text safe to show: at most `most` characters, nothing that controls or reorders.

    Control, format (bidirectional marks too), private and unassigned characters and line separators become
    U+FFFD; so do emoji and the like, of which a single one makes all of a text take four bytes a character.
    A longer text loses its middle, so that a file's suffix stays in sight.
    """
    if len(text) > most:
        tail = most // 3
        text = f"{text[: most - tail - 1]}…{text[-tail:]}"
    return text if text.isascii() and text.isprintable() else _unshowable().sub(_REPLACEMENT, text)


@functools.cache
def _unshowable() -> re.Pattern[str]:
    """Make the pattern once, when the first name that is not ASCII turns up: it is long."""
    basic_plane = map(chr, range(0x10000))
    found = "".join(char for char in basic_plane if unicodedata.category(char) in _UNSHOWABLE)
    return re.compile(f"[{re.escape(found)}\U00010000-\U0010ffff]")


def basename(name: str) -> str:
    """Return the part after the last slash."""
    return name[name.rfind("/") + 1 :]


def is_junk(name: str) -> bool:
    """Return whether macOS or Windows put the entry into the zip without being asked."""
    last = basename(name)
    return (
        last.startswith("._")
        or last.lower() in _JUNK
        or (name.startswith("__") and name[:9].upper() == "__MACOSX/")
    )


def is_pkcs12(name: str) -> bool:
    """Return whether the entry is meant as a PKCS#12 by its name: no NUL, blank or dot hides the suffix."""
    return (
        bool(_PKCS12_SUFFIX.search(name))
        or has_hidden_suffix(name)
        or ("\0" in name and is_pkcs12(name[: name.index("\0")]))
    )


def has_hidden_suffix(name: str) -> bool:
    """Return whether blanks or dots follow the suffix of a PKCS#12."""
    return name[-1:] in _AFTER_SUFFIX and bool(_PKCS12_SUFFIX.search(name.rstrip(_AFTER_SUFFIX)))


def stem(name: str) -> str:
    """Return the part after the last slash, without the suffix of a PKCS#12 and what blanks follow it."""
    return without_suffix(basename(name.rstrip(_AFTER_SUFFIX) if has_hidden_suffix(name) else name))


def is_text(name: str) -> bool:
    """Return whether the entry is a text file by its name."""
    return name.lower().endswith(".txt")


def is_zip(name: str) -> bool:
    """Return whether the entry is a zip by its name."""
    return name.lower().endswith(".zip")


def without_suffix(text: str) -> str:
    """Take `.p12`, `.pfx` or `.pkcs12` off, in any case, once."""
    return _PKCS12_SUFFIX.sub("", text)


def fault_of(name: str) -> str | None:
    """Return what is wrong with an entry's name, or None where it is `<file>` or `<folder>/<file>`."""
    if len(name) > _LONGEST_NAME:
        return f"The name of the entry is longer than {_LONGEST_NAME} characters."
    if not name.isprintable():
        for char in name:
            if fault := _fault_of_character(char):
                return fault
    if has_hidden_suffix(name):
        return "The name of the entry has blanks or dots after its suffix: rename the file."
    if name.startswith("/") or _DRIVE.match(name):
        return "The name of the entry is an absolute path."
    folders = name.split("/")[:-1]
    if ".." in folders:
        return "The name of the entry leads out of the zip ('..')."
    if len(folders) > 1:
        return "The entry stands deeper than one folder."
    return None


def _fault_of_character(char: str) -> str | None:
    if char == "\0":
        return "The name of the entry holds a NUL character."
    match unicodedata.category(char):
        case "Cc" | "Zl" | "Zp":
            return "The name of the entry holds a line break or another control character."
        case "Cf":
            return f"The name of the entry holds the invisible character {name_character(char)}."
    return None
