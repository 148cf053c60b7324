"""Values that have a JSON form: what their members are is said once, beside the type of each.

A member is a field of a frozen dataclass, annotated with its kind: `mtu: Annotated[int, Whole(1280, 1400)]`.
A document is read into a draft first, so that one reading finds all faults of it, and rules about several
members can look at those that were read. A member whose default is None may be null.
"""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self, cast, get_args, get_type_hints

from bulkcert.errors.policies import PolicyRefused
from bulkcert.errors.root import Fault

FAULTY: Final = object()
"""What reading gives for a value with a fault; the fault is in the list by then."""

_NAME_THAT_IS_SHOWN = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Faults(list[Fault]):
    """What was found wrong so far."""

    def note(self, where: str, detail: str) -> object:
        """Take one more down; give `FAULTY`."""
        self.append(Fault(where, detail))
        return FAULTY


class Kind(ABC):
    """What a member may be: reads its JSON form, and writes it."""

    @abstractmethod
    def read(self, value: object, where: str, faults: Faults) -> object:
        """Read a JSON value that stands at `where` (as `tunnels/0/mtu`); give `FAULTY` where it is wrong."""

    def write(self, value: object) -> object:
        """Return the JSON form of a value."""
        return value


@dataclass(frozen=True)
class Draft:
    """The members of a part that were read without a fault, before the part itself exists."""

    part: type["Part"]
    members: dict[str, object]

    def get(self, name: str) -> object:
        """Return a member; None too where it had a fault."""
        return self.members.get(name)

    def drafts(self, name: str) -> Iterator[tuple[int, "Draft"]]:
        """Return the parts of a list that could be read, each with its place."""
        for place, below in enumerate(cast("tuple[object, ...]", self.get(name) or ())):
            if isinstance(below, Draft):
                yield place, below

    def build(self) -> "Part":
        """Make the part; every member was read without a fault."""
        return self.part(**self.part.settled({name: _built(value) for name, value in self.members.items()}))


@dataclass(frozen=True)
class PartOf(Kind):
    """A part of its own: a JSON object."""

    part: type["Part"]

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return a `Draft`, with what could be read of it."""
        return read_draft(self.part, value, where, faults)

    def write(self, value: object) -> object:
        """Return the JSON object."""
        return cast("Part", value).document()


class Part:
    """A value with a JSON form, and valid once it exists. Subclasses are frozen dataclasses."""

    def __post_init__(self) -> None:
        """Hold one that is made by hand to the same rules as one that is read."""
        faults = Faults()
        read_draft(type(self), self.document(), "", faults)
        _raise(faults)

    @classmethod
    def faults_between(cls, _draft: Draft) -> Iterator[Fault]:
        """Return what is wrong between members that are well each for itself; `where` is seen from here."""
        yield from ()

    @classmethod
    def settled(cls, members: dict[str, object]) -> dict[str, object]:
        """Return members, all without a fault, as the fields hold them; most are so already."""
        return members

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Self:
        """Read the JSON form, or raise `PolicyRefused` with every fault of it."""
        faults = Faults()
        draft = read_draft(cls, document, "", faults)
        _raise(faults)
        return cast("Self", cast("Draft", draft).build())

    def document(self) -> dict[str, object]:
        """Return the JSON form with every member; equal values have equal documents."""
        return {
            member.name: None if value is None else member.kind.write(value)
            for member in members_of(type(self))
            for value in [getattr(self, member.name)]
        }

    def short_document(self) -> dict[str, object]:
        """Return the JSON form without members that are as they are by default.

        A later release may add members; what it then says of an old value stays the same.
        """
        return {
            member.name: _short(member.kind.write(value), value)
            for member in members_of(type(self))
            for value in [getattr(self, member.name)]
            if member.is_required or value != member.default
        }


@dataclass(frozen=True)
class Member:
    """One member of a part."""

    name: str
    kind: Kind
    default: object

    @property
    def is_required(self) -> bool:
        """Return whether a document must have it."""
        return self.default is dataclasses.MISSING


_MEMBERS: dict[type[Part], tuple[Member, ...]] = {}


def members_of(part: type[Part]) -> tuple[Member, ...]:
    """Return the members of a part, as its fields and their annotations say; they are looked up once."""
    if part not in _MEMBERS:
        _MEMBERS[part] = _find_members(part)
    return _MEMBERS[part]


def _find_members(part: type[Part]) -> tuple[Member, ...]:
    hints = get_type_hints(part, include_extras=True)
    fields = dataclasses.fields(part)  # type: ignore[arg-type]  # every part is a dataclass
    return tuple(Member(field.name, get_args(hints[field.name])[1], field.default) for field in fields)


def read_draft(part: type[Part], document: object, where: str, faults: Faults) -> object:
    """Read the JSON object of a part: a `Draft` of what could be read, or `FAULTY` where it is no object."""
    if not isinstance(document, Mapping):
        return faults.note(where, "This must be an object, in braces.")
    before, beneath = len(faults), f"{where}/" if where else ""
    members = members_of(part)
    for name in document.keys() - {member.name for member in members}:
        shown = name if _NAME_THAT_IS_SHOWN.fullmatch(str(name)) else "(a name that is not shown)"
        faults.note(f"{beneath}{shown}", "There is no such member.")
    read = {member.name: _read_member(member, document, beneath, faults) for member in members}
    draft = Draft(part, {name: value for name, value in read.items() if value is not FAULTY})
    faults += [Fault(beneath + fault.where, fault.detail) for fault in part.faults_between(draft)]
    # A set has no order, and the same document must have the same faults.
    faults[before:] = sorted(faults[before:], key=lambda fault: fault.where)
    return draft


def _read_member(member: Member, document: Mapping[str, object], beneath: str, faults: Faults) -> object:
    if member.name not in document:
        if member.is_required:
            return faults.note(beneath + member.name, "This member is required.")
        return _drafted(member.default)
    value = document[member.name]
    if value is None and member.default is None:
        return None
    return member.kind.read(value, beneath + member.name, faults)


def _drafted(value: object) -> object:
    if isinstance(value, Part):
        names = [member.name for member in members_of(type(value))]
        return Draft(type(value), {name: _drafted(getattr(value, name)) for name in names})
    return value


def _built(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_built(each) for each in value)
    return value.build() if isinstance(value, Draft) else value


def _short(written: object, value: object) -> object:
    if isinstance(value, tuple) and isinstance(written, list) and value and isinstance(value[0], Part):
        return [each.short_document() for each in value]
    return value.short_document() if isinstance(value, Part) else written


def _raise(faults: Faults) -> None:
    if faults:
        raise PolicyRefused("The VPN policy cannot be used as it is.", tuple(faults))
