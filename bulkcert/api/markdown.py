"""Markdown to HTML, for the part of Markdown that `docs/problems.md` uses.

That is headings, paragraphs, lists, tables and code. All text is escaped before tags are added. A link
becomes its text, since its target is not served.
"""

import re
from html import escape

_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_HEADING_LINE = re.compile(r"^(#{1,3} .+)$", re.MULTILINE)
_TABLE_RULE = re.compile(r"\|[\s|:-]+")
_HEADING = re.compile(r"(#{1,3}) (.+)")


def render(text: str) -> str:
    """Return the HTML of a page's body. The `id` of a heading is its text in lower case without backticks."""
    apart = _HEADING_LINE.sub(r"\n\n\1\n\n", text)
    blocks = re.split(r"\n\s*\n", apart.strip())
    return "\n".join(_block(block.strip()) for block in blocks)


def _block(block: str) -> str:
    if heading := _HEADING.fullmatch(block):
        level, title = len(heading[1]), heading[2]
        anchor = re.sub(r"[^a-z0-9_]+", "-", title.lower()).strip("-")
        return f'<h{level} id="{anchor}">{_inline(title)}</h{level}>'
    if block.startswith("- "):
        items = re.split(r"\n- ", block.removeprefix("- "))
        return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
    lines = [line.strip() for line in block.split("\n")]
    if all(line.startswith("|") for line in lines):
        return (
            "<table>" + "".join(_row(line) for line in lines if not _TABLE_RULE.fullmatch(line)) + "</table>"
        )
    return f"<p>{_inline(block)}</p>"


def _row(line: str) -> str:
    cells = line.strip("|").split("|")
    return "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in cells) + "</tr>"


def _inline(text: str) -> str:
    escaped = _LINK.sub(r"\1", escape(" ".join(text.split())))
    return _CODE.sub(r"<code>\1</code>", escaped)
