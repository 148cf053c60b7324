"""Opening PKCS#12 files in a process of its own, which may die: a poisoned file costs one item.

Rules:
- The process has no master key, no database and an emptied environment; files and passwords are sent over a
  pipe, and nothing is in its command line.
- Its answers are read as numbers, text and bytes, never unpickled. The worker hashes each certificate and
  checks by arithmetic that the key belongs to it (`formats/key_match`), before anything is sealed.
- A process serves one import, and was forked from a template that has seen no file at all.
- It is confined by the kernel (`confinement`): no files, no network, no programs, no other processes.
- A file whose opening ends the process, and then another one, is that file's refusal: the first may have been
  killed from outside. Other files meet a new process.
- Every answer bears the number of its request: none is ever taken for that of another file.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from bulkcert.errors import Crashed, ItemRefusal, NotConfined, TooCostly
from bulkcert.formats.key_match import match_key
from bulkcert.opening.child import Child, ChildEnded
from bulkcert.opening.confinement import Layers
from bulkcert.opening.protocol import read_answer, write_request
from bulkcert.opening.template import ChildDoesNotStart, Template, TemplateEnded
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret

__all__ = ["ChildDoesNotStart", "Layers", "Opener", "require_layers"]

_FILES_OF_ONE_CHILD = 10_000
"""Then it is replaced, so that whatever the library leaks stays bounded."""

_MOST_FALSE_STARTS = 3
"""Children that may end before they begin with a file; then the file is taken to be the cause."""

_MOST_DEATHS = 2
"""Children that may end with a file in work, but for want of time; then the file is taken to be the cause."""

_utc_now = partial(datetime.now, UTC)

Result = OpenedCertificate | ItemRefusal


class Opener:
    """Opens PKCS#12 files one after the other, each import's in a child process of its own.

    For one thread at a time.
    """

    def __init__(self, limits: Limits, now: Callable[[], datetime] = _utc_now) -> None:
        self._limits = limits
        self._now = now
        self._template: Template | None = None
        self._child: Child | None = None
        self._owner: str | None = None  # the import that the child serves
        self._deaths = 0  # since the last answer
        self._number = 0  # of the last request
        self._cpu_seconds = 0.0  # of children that have ended
        self._under_way: object = None  # whose answers the child gives

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[Result]:  # fmt: skip
        """Open files (content, password) and yield their results: as many, in the same order, one at a time.

        owner: the import that they belong to. Files of another import are opened by another process, which
        has seen none of these. The child works ahead while the caller is busy with a result. Raises
        `ChildDoesNotStart` where there is no process to open anything with.
        """
        if self._under_way is not None:
            # Those before were left early, and somebody may still hold them (in the traceback of what ended
            # it, say): answers that are on their way must not be taken for those of these files.
            self._end_child()
        if owner != self._owner:
            self._end_child()
            self._owner = owner
        mine = self._under_way = object()
        self._deaths = done = 0
        try:
            while done < len(files):
                for result in self._open_until_the_child_ends(files[done:]):
                    done += 1
                    yield result
        finally:
            if self._under_way is mine:
                self._under_way = None
                if done < len(files):  # the caller stopped early: what is under way belongs to nobody
                    self._end_child()

    def cpu_seconds(self) -> float:
        """Return the processor time that opening files has taken since the start, in seconds."""
        return self._cpu_seconds + (self._child.cpu_seconds() if self._child is not None else 0.0)

    def layers(self) -> Layers:
        """Return the layers of confinement that this kernel enforces; raises `ChildDoesNotStart`."""
        return self._start().layers

    def close(self) -> None:
        """End the processes; closing twice is closing once."""
        self._end_child()
        if self._template is not None:
            self._template.end()
            self._template = None

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.end()
            self._cpu_seconds += self._child.cpu_seconds()
            self._child = None

    def _start(self) -> Template:
        self._template = self._template or Template(self._limits)
        return self._template

    def _fork(self) -> Child:
        """Fork a child; where the template was killed, start another one first."""
        for _ in range(_MOST_FALSE_STARTS):
            try:
                return Child(self._start())
            except TemplateEnded:
                self.close()
        raise ChildDoesNotStart("The process that opens PKCS#12 files ends before it opens any.")

    def _open_until_the_child_ends(self, files: Sequence[tuple[bytes, Secret]]) -> Iterator[Result]:
        child = self._child = self._child or self._fork()
        files = files[: _FILES_OF_ONE_CHILD - child.answered]
        numbers = range(self._number + 1, self._number + 1 + len(files))
        self._number += len(files)
        requests = zip(numbers, files, strict=True)
        child.feed(write_request(number, *file, self._limits, self._now()) for number, file in requests)
        for number in numbers:
            result = self._next_result(child, number)
            if result is not None:
                yield result
            if child.has_ended:
                return
        if child.answered >= _FILES_OF_ONE_CHILD:
            self._end_child()

    def _next_result(self, child: Child, number: int) -> Result | None:
        """Return the next result; None where the child ended, and the file is to be opened by another."""
        try:
            result = read_answer(number, child.next_answer(self._limits.opening_wall_seconds))
            _check_key(result)
        except ChildEnded as end:
            self._end_child()
            return self._blame(end)
        except ValueError:  # an answer that is none: whatever gave it is not trusted any further
            self._end_child()
            self._deaths = 0
            return Crashed("The process that opened the file gave an answer that makes no sense.")
        self._deaths = 0
        return result

    def _blame(self, end: ChildEnded) -> ItemRefusal | None:
        """Return what a child's end means for the file; None where it may not have been the cause."""
        self._deaths += 1
        if not end.had_begun:
            may_be_innocent = self._deaths < _MOST_FALSE_STARTS
        else:
            may_be_innocent = not end.out_of_time and self._deaths < _MOST_DEATHS
        if may_be_innocent:
            return None
        self._deaths = 0
        if end.out_of_time:
            return TooCostly("Opening the file took longer than the limit.")
        return Crashed("The process that opened the file ended without an answer, again and again.")


def _check_key(result: Result) -> None:
    """Raise `ValueError` where the key is not that of the certificate: the child is not believed."""
    if isinstance(result, ItemRefusal):
        return
    public_key = match_key(result.leaf.der, result.private_key.reveal())
    if public_key != result.leaf.facts.public_key_sha256:
        msg = "the key does not belong to the certificate"
        raise ValueError(msg)


def require_layers(limits: Limits, *, is_demanded: bool) -> Layers:
    """Return the layers of confinement on this machine; raises `NotConfined` where too few are in force.

    is_demanded: whether too few are a reason to refuse.
    """
    opener = Opener(limits)
    try:
        layers = opener.layers()
    finally:
        opener.close()
    if is_demanded and not layers.are_enough:
        raise NotConfined("The kernel does not confine the process that opens PKCS#12 files.")
    return layers
