"""Query parameters of lists, and of paths that take none."""

from marshmallow import Schema

from bulkcert.api.v1.schemas.fields import PageLimit, Text

MOST_CURSOR = 512


class Nothing(Schema):
    """No parameters."""


class PageQuery(Schema):
    """Query parameters of a list: size and start of the page."""

    limit = PageLimit(load_default=100)
    cursor = Text(most=MOST_CURSOR, load_default=None)


PAGE_PARAMETERS = tuple(PageQuery().fields)
"""Parameters that a report without pages refuses."""
