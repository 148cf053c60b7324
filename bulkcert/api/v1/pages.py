"""Lists, as every path of door two gives them."""

from typing import Any

from marshmallow import Schema

from bulkcert.values.pages import Page


def write(page: Page[Any], schema: Schema) -> dict[str, Any]:
    """Write a page of a list, and the cursor of the next one (null at the end)."""
    return {"items": schema.dump(page.items, many=True), "next_cursor": page.next_cursor}
