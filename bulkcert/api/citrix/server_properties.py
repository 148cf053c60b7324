"""Server properties: an empty list.

Scripts ask for them right after the login, and take any other answer for an expired session.
"""

from flask import Response

from bulkcert.api.authorization import authenticated
from bulkcert.api.citrix.answers import answer


@authenticated
def filter_server_properties() -> Response:
    """Return an empty list without reading the body."""
    return answer({"status": 0, "message": "Success", "allEwProperties": []})
