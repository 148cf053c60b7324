"""Use the client that openapi-python-client made, in the interpreter that has its packages.

Arguments: address, CA file, bundle for a form, bundle for a raw body. The password is read from standard input.
Prints JSON: what was imported and what is listed.
"""

import io
import json
import ssl
import sys
from pathlib import Path

from bulkcert_client import AuthenticatedClient, Client
from bulkcert_client.api.access import log_in
from bulkcert_client.api.certificates import list_certificates
from bulkcert_client.api.imports import create_import, create_import_from_body, list_import_items
from bulkcert_client.models import IdentityType, Import, ImportForm, Login, Problem, Token
from bulkcert_client.types import File

address, ca_file, form_bundle, raw_bundle = sys.argv[1:]
trust = ssl.create_default_context(cafile=ca_file)


def a_file(path: str) -> File:
    return File(io.BytesIO(Path(path).read_bytes()), "bundle.zip", "application/zip")


stranger = Client(base_url=address, verify_ssl=trust)
refused = log_in.sync(client=stranger, body=Login("administrator", "wrong"))
assert isinstance(refused, Problem), refused
token = log_in.sync(client=stranger, body=Login("administrator", sys.stdin.read().strip()))
assert isinstance(token, Token), token
client = AuthenticatedClient(base_url=address, verify_ssl=trust, token=token.access_token)

by_form = create_import.sync(
    client=client, body=ImportForm(a_file(form_bundle), IdentityType.SERIAL_NUMBER), prefer="wait=60"
)
by_body = create_import_from_body.sync(
    client=client, body=a_file(raw_bundle), identity_type=IdentityType.SERIAL_NUMBER, prefer="wait=60"
)
imports = [by_form, by_body]
assert all(isinstance(each, Import) for each in imports), imports
pages = [list_import_items.sync(each.id, client=client) for each in imports]
certificates = list_certificates.sync(client=client, limit=1000)
print(
    json.dumps(
        {
            "code": refused.code,
            "states": [each.state.value for each in imports],
            "items": [[item.identity, item.outcome.value] for page in pages for item in page.items],
            "certificates": sorted(each.identity for each in certificates.items),
        }
    )
)
