"""Which entry of a bundle is the credentials file, and reading it."""

import unicodedata
from collections.abc import Callable

from bulkcert.errors import (
    AmbiguousCredentialsFile,
    CredentialsFileTooLarge,
    MalformedZip,
    NoCredentialsFile,
    RequestRefusal,
)
from bulkcert.formats.bundle.entry_names import basename, fault_of, is_junk, is_pkcs12, is_text, shown
from bulkcert.formats.zip.archive import Archive, UnreadableEntry
from bulkcert.formats.zip.records import Entry
from bulkcert.values.limits import Limits

_IN_TEXT = 60
_MOST_NAMED = 3


def _folded(name: str) -> str:
    # macOS writes "ü" into a zip as two characters, where a request is likely to hold one.
    return unicodedata.normalize("NFC", name).casefold()


_WAYS_TO_MEAN: tuple[Callable[[str, str], bool], ...] = (
    lambda name, wanted: name == wanted,
    lambda name, wanted: basename(name) == wanted,
    lambda name, wanted: _folded(name) == _folded(wanted),
    lambda name, wanted: _folded(basename(name)) == _folded(wanted),
)


class CredentialsFileChoice:
    """Looks at the entries of a zip and settles on the credentials file.

    wanted: its name, with its folder or without; the closest match counts, exact before one in another case.
    None or nothing: the only `.txt` at the top or in one folder.
    """

    def __init__(self, wanted: str | None) -> None:
        self._wanted = wanted.replace("\\", "/") if wanted else None
        self._passed_over: list[str] = []
        self._candidates: tuple[list[Entry], ...] = tuple([] for _ in _WAYS_TO_MEAN)

    def consider(self, entry: Entry) -> None:
        """Look at one entry. One that is no ordinary file, is junk, or has a faulty name does not qualify."""
        if entry.is_folder or is_junk(entry.name):
            return
        way = self._way_to_mean(entry.name)
        fault = fault_of(entry.name) or (
            None if entry.is_ordinary else "It is a link or a device, not a file."
        )
        if way is not None and fault is None:
            self._keep(way, entry)
        elif fault is not None:
            self._pass_over(entry, fault)
        elif self._wanted is None:
            self._pass_over(entry, "It is no .txt.")
        elif is_text(entry.name.rstrip()):
            self._pass_over(entry, "It has another name.")

    def _way_to_mean(self, name: str) -> int | None:
        if self._wanted is None:
            return 0 if is_text(name) else None
        return next((way for way, means in enumerate(_WAYS_TO_MEAN) if means(name, self._wanted)), None)

    def _pass_over(self, entry: Entry, reason: str) -> None:
        if len(self._passed_over) < _MOST_NAMED and not is_pkcs12(entry.name):
            self._passed_over.append(f"'{shown(entry.name, _IN_TEXT)}' was passed over: {reason}")

    def explain(self, sentence: str) -> str:
        """Add to a sentence which entries did not qualify, and why."""
        return " ".join((sentence, *self._passed_over))

    def _keep(self, way: int, entry: Entry) -> None:
        # Two are enough to be ambiguous; a hostile zip may hold a hundred thousand.
        if len(self._candidates[way]) < 3:
            self._candidates[way].append(entry)

    @property
    def has_none(self) -> bool:
        """Return whether no entry qualified."""
        return not any(self._candidates)

    def settle(self) -> Entry:
        """Return the one entry. Raises NoCredentialsFile or AmbiguousCredentialsFile."""
        found = next((each for each in self._candidates if each), [])
        if len(found) == 1:
            return found[0]
        raise self._ambiguous(found) if found else self._none()

    def read(self, archive: Archive, limits: Limits) -> bytes:
        """Return the content of the chosen entry.

        Raises as `settle` does, CredentialsFileTooLarge, or MalformedZip where the content is damaged.
        """
        entry = self.settle()
        if entry.size > limits.credentials_file_bytes:
            raise CredentialsFileTooLarge(
                f"'{shown(entry.name, _IN_TEXT)}' has {entry.size} bytes; "
                f"the limit is {limits.credentials_file_bytes}."
            )
        try:
            return archive.read(entry)
        except UnreadableEntry as damage:
            raise MalformedZip(f"'{shown(entry.name, _IN_TEXT)}' is damaged: {damage}.") from None

    def _none(self) -> RequestRefusal:
        if self._wanted is None:
            return NoCredentialsFile(self.explain("The zip holds no .txt file at its top or in a folder."))
        return NoCredentialsFile(
            self.explain(f"The zip holds no file named '{shown(self._wanted, _IN_TEXT)}'.")
        )

    def _ambiguous(self, found: list[Entry]) -> RequestRefusal:
        names = ", ".join(f"'{shown(entry.name, _IN_TEXT)}'" for entry in found)
        return AmbiguousCredentialsFile(f"Each of these could be the credentials file: {names}.")
