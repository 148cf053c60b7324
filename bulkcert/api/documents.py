"""Pages for anybody, without a token: where things are, the contract, and what each problem code means.

They are the same for every caller and are made once in a process, at the first request for them.
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
    """Show where the two APIs and the documents are."""
    places = {"api": "/api/v1", "citrix_compatible_api": "/xenmobile/api/v1", **_PLACES}
    return {"name": "bulkcert", "version": bulkcert.__version__, **places}


@blueprint.get("/api/v1", strict_slashes=False)
@authorization.public
@reads()
def api() -> dict[str, Any]:
    """Show where to log in, and where the resources of `/api/v1` are."""
    return _api()


@blueprint.get("/openapi.yaml")
@authorization.public
@reads()
def openapi_yaml() -> Response:
    """Show the contract as it is kept (RFC 9512)."""
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
    """Explain every code; the `type` of a problem document leads to its heading."""
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
    return yaml.load(documents.read_openapi(), _JsonLoader)  # noqa: S506 - it makes nothing but JSON


@functools.cache
def _openapi_json() -> bytes:
    return (json.dumps(_contract(), sort_keys=False) + "\n").encode()


@functools.cache
def _api() -> dict[str, Any]:
    """Return the collections of the contract: paths below /api/v1 without an id that can be read."""
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
    """Reads YAML by the rules of JSON's types: a date stays text."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
