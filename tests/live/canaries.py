"""Canaries: passwords and private keys that are recognised wherever a copy of them lies, and who looks for them.

Every canary holds a marker, 14 letters and digits that are made anew for each run. Whoever finds no form of the
marker has found no form of any canary; and a part of a canary is found as well.
"""

import base64
import contextlib
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec


class Marker:
    """What all canaries of a run have in common. `text`: 14 letters and digits."""

    def __init__(self, text: str) -> None:
        assert re.fullmatch(r"[A-Za-z0-9]{14}", text)
        self.text = text
        self._number = 0

    def password(self, around: str = "") -> str:
        """A password that nothing else has; `around` stands within the marker's reach, on both sides."""
        self._number += 1
        return f"{around}pw{self._number}-{self.text}{around}-{self.text}.{self._number}"

    def ec_key(self) -> ec.EllipticCurvePrivateKey:
        """A key on P-256 whose private value begins with the marker."""
        self._number += 1
        octets = self.text.encode() + self._number.to_bytes(2) + os.urandom(16)
        return ec.derive_private_key(int.from_bytes(octets), ec.SECP256R1())


def forms_of(secret: bytes) -> dict[str, bytes]:
    """Every way of writing octets that is looked for, by name."""
    numbers = [str(octet) for octet in secret]
    forms = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "hex:": secret.hex(":").encode(),
        "HEX:": secret.hex(":").upper().encode(),
        "hex ": secret.hex(" ").encode(),
        "HEX ": secret.hex(" ").upper().encode(),
        "0x": ", ".join(f"0x{octet:02x}" for octet in secret).encode(),
        "\\x": "".join(f"\\x{octet:02x}" for octet in secret).encode(),
        "decimal list": ", ".join(numbers).encode(),
        "decimal list without spaces": ",".join(numbers).encode(),
        "decimal list without commas": " ".join(numbers).encode(),
    }
    # How Python shows octets; it chooses its quotes by what else stands there.
    forms["repr"] = repr(max(re.split(rb"['\"]", secret), key=len))[2:-1].encode()
    for shift in range(3):
        forms[f"base64 at {shift}"] = core = _core_of_base64(secret, shift)
        forms[f"base64 for URLs at {shift}"] = core.translate(bytes.maketrans(b"+/", b"-_"))
    return forms


def _core_of_base64(secret: bytes, shift: int) -> bytes:
    """The part of the base64 that does not depend on what stands before and behind (RFC 4648 §4)."""
    whole = base64.b64encode(bytes(shift) + secret)
    return whole[-(-shift * 8 // 6) : (shift + len(secret)) * 8 // 6]


class Searcher:
    """Looks for every form of a marker, in UTF-8 and UTF-16, and of `others`, whose octets are random."""

    def __init__(self, marker: Marker, others: Iterable[bytes] = ()) -> None:
        secrets = {
            "UTF-8": marker.text.encode(),
            "UTF-16BE": marker.text.encode("utf-16-be"),
            "UTF-16LE": marker.text.encode("utf-16-le"),
        } | {f"key {number}": octets for number, octets in enumerate(others)}
        self._needles = {
            f"{name}, {form}": needle
            for name, secret in secrets.items()
            for form, needle in forms_of(secret).items()
        }
        # A private value written as one number: its first digits are those of the marker.
        first = int.from_bytes(marker.text.encode() + bytes(18))
        self._needles["decimal number"] = str(first)[:30].encode()

    def found_in(self, content: bytes) -> set[str]:
        """The names of the forms that stand in it; line ends may stand anywhere between."""
        joined = re.sub(rb"(?:\\r|\\n|[\r\n])+[ \t]*", b"", content)
        return {name for name, needle in self._needles.items() if needle in content or needle in joined}


class Watch:
    """Looks at processes and at a folder, over and over, while something else happens.

    Seen are command lines, environments, files that are open and have no name any more, and files with a name
    below `folder`. `found`: form and place of everything that was found; `looked`: how often it looked where.
    """

    def __init__(self, searcher: Searcher, pids: Callable[[], Iterable[int]], folder: Path) -> None:
        self.found: set[tuple[str, str]] = set()
        self.looked: Counter[str] = Counter()
        self._searcher = searcher
        self._pids = pids
        self._folder = folder
        self._sizes: dict[Path, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self.look()

    def look(self) -> None:
        """Look once at everything there is."""
        for pid in list(self._pids()):
            self._search(f"command line of {pid}", "command lines", Path(f"/proc/{pid}/cmdline"))
            self._search(f"environment of {pid}", "environments", Path(f"/proc/{pid}/environ"))
            for file in self._unnamed_files(pid):
                self._search(f"open file {file}", "unnamed files", file)
        for path in files_below(self._folder):
            with contextlib.suppress(OSError):
                state = path.stat()
                if self._sizes.get(path) != (state.st_size, state.st_mtime_ns):
                    self._sizes[path] = (state.st_size, state.st_mtime_ns)
                    self._search(str(path), "files", path)

    def _unnamed_files(self, pid: int) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    # One without a name is shown as `/folder/#123 (deleted)`.
                    target = str(link.readlink())
                    if target.startswith("/") and target.endswith(" (deleted)"):
                        yield link

    def _search(self, place: str, kind: str, path: Path) -> None:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            self.looked[kind] += bool(content)
            self.found |= {(form, place) for form in self._searcher.found_in(content)}


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder from which others may be taken away meanwhile."""
    for parent, _folders, names in os.walk(folder):
        for name in names:
            yield Path(parent) / name
