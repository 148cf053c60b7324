"""Server properties, of which there are none here.

Scripts ask for them right after the login, and take anything but a list for a session that has ended.
"""

from flask import Response

from bulkcert.api.authorization import authenticated
from bulkcert.api.citrix.answers import answer


@authenticated
def filter_server_properties() -> Response:
    """List no properties, whatever is asked for; the body is not read."""
    return answer({"status": 0, "message": "Success", "allEwProperties": []})
