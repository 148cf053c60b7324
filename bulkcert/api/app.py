"""The Flask app that serves both APIs, and its gateway to the server."""

import os
from collections.abc import Callable
from functools import partial

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from bulkcert.api import (
    authorization,
    authorization_server,
    connections,
    context,
    documents,
    heads,
    health,
    mdm_webhook,
    problems,
    request_log,
    upload_slots,
    uploads,
)
from bulkcert.api.bodies import Pace
from bulkcert.api.citrix import routes as citrix
from bulkcert.api.client_address import ClientAddress, source_of
from bulkcert.api.gateway import Gateway
from bulkcert.api.streaming import Streaming
from bulkcert.api.v1 import oauth
from bulkcert.api.v1 import routes as v1
from bulkcert.api.v1.request_parts import IdExcept
from bulkcert.config import Config
from bulkcert.wiring.service import Service, connect


def create_from_environment(
    *, behind_proxy: bool = False, is_stopping: Callable[[], bool] = lambda: False
) -> Flask:
    """Create the app of a web process from `BULKCERT_*`. Raises a `StartRefusal` where it must not start.

    behind_proxy: trusted proxies write the client's address into `X-Forwarded-For`. is_stopping: returns
    whether waiting requests are to end.
    """
    config = Config.from_environment(os.environ)
    app = create_app(connect(config, is_stopping=is_stopping))
    if behind_proxy:
        app.wsgi_app = ClientAddress(  # type: ignore[method-assign]
            ProxyFix(app.wsgi_app, x_for=0, x_proto=1, x_host=0), config.trusted_proxies
        )
    return app


def create_gateway(*, behind_proxy: bool = False, is_stopping: Callable[[], bool] = lambda: False) -> Gateway:
    """Create the ASGI application of a web process around the app of `create_from_environment`."""
    app = create_from_environment(behind_proxy=behind_proxy, is_stopping=is_stopping)
    config = context.service_of(app).config
    trusted = config.trusted_proxies if behind_proxy else ()
    pace = Pace(config.body_seconds, config.body_rate)
    return Gateway(app, Streaming(app), partial(source_of, trusted=trusted), pace)


def create_app(service: Service) -> Flask:
    """Create the app with both APIs. Raises LookupError for a view that does not say who may call it."""
    app = Flask("bulkcert.api", static_folder=None)
    app.request_class = uploads.Request
    app.url_map.merge_slashes = False  # `//xenmobile` is printed in places; a redirect would lose an upload
    app.url_map.converters["id_except"] = IdExcept
    app.config.update(
        MAX_CONTENT_LENGTH=service.limits.bundle_bytes + uploads.FRAME_BYTES,
        MAX_FORM_MEMORY_SIZE=uploads.MOST_FIELD_BYTES,
        MAX_FORM_PARTS=uploads.MOST_PARTS,
        PROVIDE_AUTOMATIC_OPTIONS=False,  # an automatic route has no scope
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # members keep the order of the contract
    context.keep(app, service)
    request_log.install(app)
    heads.install(app)
    for part in (v1, documents, authorization_server, health, mdm_webhook, citrix):
        app.register_blueprint(part.blueprint)
    problems.install(app, {context.CITRIX_PATHS: citrix.render_refusal, oauth.PATHS: oauth.render_refusal})
    authorization.install(app)
    upload_slots.install(app)
    request_log.check_routes(app)
    connections.install(app)
    app.after_request(_harden)
    return app


def _harden(response: Response) -> Response:
    """Forbid browsers to guess types, and browsers and caches to store answers."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
