"""Members of a JSON body or part of the Citrix-compatible API."""

from collections.abc import Mapping
from dataclasses import dataclass

from bulkcert.errors import MalformedRequest


@dataclass(frozen=True)
class Members:
    """The members of a JSON object. place: its name in refusals, e.g. "the body"."""

    place: str
    values: Mapping[str, object]

    def text(self, name: str) -> str:
        """Return a member that is text, unchanged; empty if it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise MalformedRequest(f"The member {name} of {self.place} is not a string.")
        if "\x00" in value:  # PostgreSQL cannot store it
            raise MalformedRequest(f"The member {name} of {self.place} holds a NUL.")
        return value

    def text_or_number(self, name: str) -> str:
        """Return a member that is text, or a whole number as text: clients write numbers either way."""
        value = self.values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(name)

    def required(self, name: str) -> str:
        """Return a member that is text and must not be empty."""
        text = self.text(name)
        if not text:
            raise MalformedRequest(f"The member {name} of {self.place} is missing or empty.")
        return text

    def must_be(self, name: str, expected: str) -> None:
        """Raise `MalformedRequest` unless a member is absent or `expected`, in any case of letters."""
        if self.text(name).strip().casefold() not in {"", expected.casefold()}:
            raise MalformedRequest(f"The member {name} of {self.place} is not {expected}.")
