"""What lists read: no parameters, or which page of them."""

from marshmallow import Schema

from bulkcert.api.v1.schemas.fields import PageLimit, Text

MOST_CURSOR = 512


class Nothing(Schema):
    """Where a path takes no parameters."""


class PageQuery(Schema):
    """Which part of a list to give."""

    limit = PageLimit(load_default=100)
    cursor = Text(most=MOST_CURSOR, load_default=None)


PAGE_PARAMETERS = tuple(PageQuery().fields)
"""What a report that is given whole does not know."""
