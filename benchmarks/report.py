"""The tables of docs/performance.md, from the JSON of a run."""

from pathlib import Path
from typing import Any

from benchmarks.targets import table

Found = dict[str, Any]


_BEGIN, _END = "<!-- tables: begin -->", "<!-- tables: end -->"


def write_into(page: Path, found: Found) -> None:
    """Put all tables between the marks of a page, instead of those that stand there."""
    before, rest = page.read_text().split(_BEGIN)
    _, after = rest.split(_END)
    page.write_text(f"{before}{_BEGIN}\n\n{write(found)}\n\n{_END}{after}")


def write(found: Found) -> str:
    """Write all tables that there is something for."""
    parts = [_machine(found)]
    for name, write_part in _PARTS.items():
        if found.get(name):
            parts.append(write_part(found))
    return "\n\n".join(parts)


def _machine(found: Found) -> str:
    machine = found["machine"]
    busy = " (busy: others were at work)" if machine["is_busy"] else ""
    note = f"\n\n{found['note']}" if "note" in found else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['mebibytes'] / 1024:.0f} GiB,"
        f" {machine['system']}, Python {machine['python']}; load average at the start"
        f" {machine['load_average']}{busy}; {found['began'][:10]}.\n\nSizes: {_sizes(found['sizes'])}.{note}"
    )


def _sizes(sizes: Found) -> str:
    return (
        f"{sizes['rsa']:,} RSA-2048 and {sizes['ec']:,} EC P-256 in an import, {sizes['rounds']} of each"
        f" (the median counts), {sizes['seconds']:g} s of bare opening each time,"
        f" {sizes['questions']} questions of each sort to {sizes['rows']:,} rows"
    )


def _targets(found: Found) -> str:
    rows = [
        [
            each["name"],
            each["shown"],
            f"{each['limit']} {each['unit']}".strip(),
            each["verdict"].replace("MISSED", "**missed**"),
        ]
        for each in found["targets"]
    ]
    return table(["what", "measured", "target", ""], rows)


def _speeds(found: Found) -> str:
    kinds = ["bare opening", "opening processes", "workers", "web process", "PostgreSQL"]
    rows = [
        [
            each["kind"],
            each["database"],
            "1, all on one core" if each["one_core"] else each["workers"],
            f"{each['rate']:.0f}",
            f"{each['bare']:.0f}",
            f"{each['share']:.2f}",
            f"{each['bound']:.2f}",
            f"{each['accepting'] * 100:.0f} %",
            *(f"{each['milliseconds'][kind]:.2f}" if kind in each["milliseconds"] else "" for kind in kinds),
        ]
        for each in found["speeds"]
    ]
    heads = ["certificates", "database", "workers", "files/s", "bare files/s", "share", "bound", "accepting"]
    return table([*heads, *(f"ms: {kind}" for kind in kinds)], rows)


def _acceptances(found: Found) -> str:
    rows = [
        [
            f"{each['devices']:,} {each['kind']}",
            each["database"],
            f"{each['mebibytes']:.0f}",
            f"{each['seconds']:.2f}",
            f"{each['growth']:.0f}",
        ]
        for each in found["acceptances"]
    ]
    return table(["bundle", "database", "MiB", "seconds to 202", "growth of the web process, MiB"], rows)


def _latencies(found: Found) -> str:
    rows = [
        [each["what"], each["how"], each["database"], f"{each['median']:.1f}", f"{each['p95']:.1f}"]
        for each in found["latencies"]
    ]
    return table(["question", "how", "database", "median, ms", "p95, ms"], rows)


_PARTS = {"targets": _targets, "speeds": _speeds, "acceptances": _acceptances, "latencies": _latencies}
