"""Kinds of members: text, whole numbers, yes or no, one of a few names, lists."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from bulkcert.values.policies.documents import Faults, Kind

Rule = Callable[[str], str | None]
"""Gives why a text is not what it should be, as a sentence; None where it is."""

LONGEST = 255
"""Characters of a text. Apple names no limit; what stands in certificates is shorter."""


@dataclass(frozen=True)
class Text(Kind):
    """Text on one line, without characters that cannot be seen (a property list cannot hold some of them)."""

    rule: Rule | None = None
    longest: int = LONGEST
    shortest: int = 1

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return the text as it stands."""
        if not isinstance(value, str):
            return faults.note(where, "This must be text.")
        if not self.shortest <= len(value) <= self.longest:
            return faults.note(where, f"This must have {self.shortest} to {self.longest} characters.")
        if not value.isprintable() or value != value.strip():
            return faults.note(where, "This must not hold control characters, nor begin or end with a space.")
        reason = self.rule(value) if self.rule else None
        return faults.note(where, reason) if reason else value


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number from `least` to `most`; `rule` says whose limits these are, or in what unit."""

    least: int
    most: int
    rule: str

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return the number."""
        if not _is_whole(value) or not self.least <= cast("int", value) <= self.most:
            return faults.note(
                where, f"This must be a whole number from {self.least} to {self.most}: {self.rule}."
            )
        return value


@dataclass(frozen=True)
class Among(Kind):
    """One of a few whole numbers."""

    numbers: tuple[int, ...]

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return the number."""
        if not _is_whole(value) or value not in self.numbers:
            return faults.note(where, f"This must be one of {', '.join(map(str, self.numbers))}.")
        return value


@dataclass(frozen=True)
class Flag(Kind):
    """Yes or no."""

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return it; 0 and 1 are not taken, so that nothing is guessed."""
        return value if isinstance(value, bool) else faults.note(where, "This must be true or false.")


@dataclass(frozen=True)
class OneOf(Kind):
    """One of the names of an enumeration."""

    names: type[enum.StrEnum]

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return the member of the enumeration."""
        if not isinstance(value, str) or value not in tuple(self.names):
            return faults.note(where, f"This must be one of {', '.join(self.names)}.")
        return self.names(value)

    def write(self, value: object) -> object:
        """Return the name."""
        return str(value)


@dataclass(frozen=True)
class Many(Kind):
    """A list of values of one kind; a tuple in Python."""

    kind: Kind
    least: int = 0
    most: int = 100

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return a tuple, with `FAULTY` in the places of values that are wrong."""
        if not isinstance(value, list):
            return faults.note(where, "This must be a list, in brackets.")
        if not self.least <= len(value) <= self.most:
            return faults.note(where, f"This must have {self.least} to {self.most} values.")
        return tuple(self.kind.read(each, f"{where}/{place}", faults) for place, each in enumerate(value))

    def write(self, value: object) -> object:
        """Return the list."""
        return [self.kind.write(each) for each in cast("tuple[object, ...]", value)]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
