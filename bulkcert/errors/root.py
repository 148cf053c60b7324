"""The root of every refusal, and what several faults look like."""

from dataclasses import dataclass
from typing import ClassVar

from bulkcert.errors.file_kinds import FileKind


@dataclass(frozen=True)
class Fault:
    """One of several things wrong with a request: `where` it stands, and `detail` of what is wrong."""

    where: str
    detail: str


def reason_of(failure: OSError) -> str:
    """Return the system's reason as part of a sentence, as in "permission denied"."""
    return (failure.strerror or "the system does not say why").lower()


class Refusal(Exception):  # noqa: N818 - the field says "refused", not "errored"
    """Root of the family. `detail` is one plain sentence; `faults` lists parts where there are several.

    found: the kind of file that came in place of the one that was wanted, where it was recognised.
    """

    code: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(
        self, detail: str, faults: tuple[Fault, ...] = (), *, found: FileKind | None = None
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.detail = detail
        self.faults = faults
        self.found = found

    def in_one_line(self, remedy: str) -> str:
        """Return what was wrong, where, and what to do, for answers that have one text for all of it."""
        return " ".join([self.detail, *(f"{fault.where}: {fault.detail}" for fault in self.faults), remedy])
