"""Values from rows, by the names of their columns."""

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.engine import Row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

V = TypeVar("V", bound="DataclassInstance")


def value_of(kind: type[V], row: Row[Any], /, **given: object) -> V:
    """Return a value of a dataclass. given: members that are not the column of the same name."""
    return kind(**{name: getattr(row, name) for name in _members(kind) if name not in given}, **given)


@cache
def _members(kind: "type[DataclassInstance]") -> tuple[str, ...]:
    return tuple(member.name for member in fields(kind))
