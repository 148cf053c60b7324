"""Public documents: the index, the contract, and the page of problem codes.

They are the same for every caller. Each process makes them once, at the first request.
"""

import functools
import hashlib
from typing import Any

import yaml
from flask import Blueprint, Response, json, request

import bulkcert
from bulkcert import documents
from bulkcert.api import authorization, markdown
from bulkcert.api.v1.views import reads

blueprint = Blueprint("documents", __name__)

_KEPT_SECONDS = 300
_NOTHING_BUT_TEXT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_PLACES = {
    "contract": "/openapi.json",
    "contract_yaml": "/openapi.yaml",
    "problems": "/problems",
    "health": "/health/ready",
}


@blueprint.get("/")
@authorization.public
@reads()
def root() -> dict[str, Any]:
    """Show the paths of the two APIs and of the documents."""
    places = {"api": "/api/v1", "citrix_compatible_api": "/xenmobile/api/v1", **_PLACES}
    return {"name": "bulkcert", "version": bulkcert.__version__, **places}


@blueprint.get("/api/v1", strict_slashes=False)
@authorization.public
@reads()
def api() -> dict[str, Any]:
    """Show the paths of login, token and all collections of `/api/v1`."""
    return _api()


@blueprint.get("/openapi.yaml")
@authorization.public
@reads()
def openapi_yaml() -> Response:
    """Show the contract as YAML (RFC 9512)."""
    return _answer(documents.read_openapi(), "application/yaml")


@blueprint.get("/openapi.json")
@authorization.public
@reads()
def openapi_json() -> Response:
    """Show the contract as JSON."""
    return _answer(_openapi_json(), "application/json")


@blueprint.get("/problems")
@authorization.public
@reads()
def problems() -> Response:
    """Show the page of problem codes; the `type` of a problem document is the address of its heading."""
    response = _answer(_problems_html(), "text/html")
    response.headers["Content-Security-Policy"] = _NOTHING_BUT_TEXT
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _answer(content: bytes, media_type: str) -> Response:
    response = Response(content, mimetype=media_type)
    response.headers["Cache-Control"] = f"max-age={_KEPT_SECONDS}"
    response.set_etag(hashlib.sha256(content).hexdigest()[:32])
    response.make_conditional(request)
    return response


@functools.cache
def _contract() -> Any:  # noqa: ANN401 - a tree of JSON
    return yaml.load(documents.read_openapi(), _JsonLoader)  # noqa: S506 - its types are those of JSON


@functools.cache
def _openapi_json() -> bytes:
    return (json.dumps(_contract(), sort_keys=False) + "\n").encode()


@functools.cache
def _api() -> dict[str, Any]:
    """Return the collections of the contract: paths below /api/v1 with a GET and without an id."""
    paths = {
        path.rpartition("/")[2].replace("-", "_"): path
        for path, item in _contract()["paths"].items()
        if path.startswith("/api/v1/") and "{" not in path and "get" in item
    }
    tokens = {"log_in": "/api/v1/sessions", "token": "/api/v1/token"}
    return {**tokens, **paths, **_PLACES}


@functools.cache
def _problems_html() -> bytes:
    body = markdown.render(documents.read_problems().decode())
    head = '<meta charset="utf-8"><title>bulkcert: problems</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'.encode()


class _JsonLoader(yaml.CSafeLoader):
    """Parses YAML into the types of JSON; a date stays text."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
