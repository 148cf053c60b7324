"""What was promised, beside what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

UNITS = {"s": 2, "ms": 1, "MiB": 0, "": 2, "%": 1}
"""Digits behind the point."""


@dataclass(frozen=True)
class Target:
    """Something that was promised, what was measured, and whether that keeps it. limit: such as "<= 2.5"."""

    name: str
    value: float
    limit: str
    unit: str = ""

    @property
    def is_met(self) -> bool:
        """Tell whether the value keeps the limit."""
        sign, bound = self.limit.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)

    @property
    def shown(self) -> str:
        """Write value and unit as people read them."""
        return f"{self.value:.{UNITS[self.unit]}f} {self.unit}".strip()

    def verdict(self, *, busy: bool) -> str:
        """Say it in a word; on a busy machine nothing is said but of memory, for rates and shares mislead."""
        if busy and self.unit != "MiB":
            return "not judged"
        return "met" if self.is_met else "MISSED"


def print_targets(targets: Sequence[Target], *, busy: bool) -> None:
    """Print a table for the terminal."""
    print("\ntargets" + (" (not judged where the load of the machine counts)" if busy else ""))
    for target in targets:
        verdict = target.verdict(busy=busy)
        print(f"  {target.name:72}{target.shown:>12}  {target.limit:>8} {target.unit:4}{verdict}")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
