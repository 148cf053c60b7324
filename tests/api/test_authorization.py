"""Every route with every kind of token: only the right one passes. Routes come from the URL map."""

import base64
import dataclasses
import hashlib
import hmac
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from bulkcert.api import authorization, tokens
from bulkcert.api.app import create_app
from bulkcert.errors import Unauthenticated
from bulkcert.values.principals import Scope, Session
from bulkcert.wiring.service import Service
from tests.api.conftest import NewService, a_client, a_session, a_token, an_app

Route = tuple[str, str, str]

PUBLIC = {
    ("GET", "/"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/api/v1"),
    ("GET", "/openapi.json"),
    ("GET", "/openapi.yaml"),
    ("GET", "/problems"),
    ("POST", "/api/v1/sessions"),
    ("POST", "/api/v1/token"),
    ("POST", "/mdm/nanomdm/webhook"),  # its signature takes the place of a token
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("POST", "/xenmobile/api/v1/authentication/login"),
    ("POST", "/xenmobile/api/v1/authentication/login/cloud"),
}


@pytest.fixture(scope="module")
def service(new_service: NewService) -> Service:
    return new_service()


@pytest.fixture(scope="module")
def app(service: Service) -> Flask:
    return an_app(service)


def routes(app: Flask) -> list[Route]:
    """Method, path (every id is 1) and endpoint of every route."""
    return [
        (method, app.url_map.bind("").build(rule.endpoint, dict.fromkeys(rule.arguments, "1")), rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods or ())
        if method != "HEAD"
    ]


def guarded(app: Flask) -> list[Route]:
    return [route for route in routes(app) if route[:2] not in PUBLIC]


@dataclasses.dataclass(frozen=True)
class Forge:
    """Makes tokens that are wrong in one way each, and one that is right."""

    app: Flask
    service: Service
    needed: frozenset[Scope]

    def session(self) -> Session:
        return a_session(self.service)

    def right(self) -> str:
        return a_token(self.app, self.service, self.needed or {Scope.METRICS_READ})

    def signed(self, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """Signed with the right key, but for claims or headers that differ; None takes one out."""
        claims = self.claims() | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.private_pem(), "EdDSA", self.headers() | (headers or {}))

    def claims(self) -> dict[str, Any]:
        session = self.session()
        return {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "sub": str(session.principal_id),
            "iat": session.issued_at,
            "exp": session.expires_at,
            "jti": session.token_id,
            "scope": " ".join(session.scopes),
        }

    def headers(self) -> dict[str, Any]:
        return {"typ": tokens.TOKEN_TYPE, "kid": self.service.access.signing_key()[0]}

    def private_pem(self) -> bytes:
        return self.service.access.signing_key()[1].reveal()

    def public_pem(self) -> bytes:
        [pem] = self.service.access.public_keys().values()
        return pem

    def unsigned(self, algorithm: str, sign: Callable[[bytes], bytes]) -> str:
        """Put together by hand what a library refuses to make."""
        claims = self.claims()
        claims |= {name: int(claims[name].timestamp()) for name in ("iat", "exp")}
        parts = [part(self.headers() | {"alg": algorithm}), part(claims)]
        body = ".".join(parts).encode()
        return f"{body.decode()}.{encoded(sign(body))}"

    def by_another_key(self, **headers: Any) -> str:
        key = Ed25519PrivateKey.generate()
        jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key()))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        headers = {name: jwk if value == "own" else value for name, value in headers.items()}
        return jwt.encode(self.claims(), pem, "EdDSA", self.headers() | headers)

    def revoked(self) -> str:
        token = self.signed(jti=(session := self.session()).token_id)
        self.service.access.revoke(session.principal_id, session.login, session.token_id)
        return token


def part(value: dict[str, Any]) -> str:
    return encoded(json.dumps(value).encode())


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


AN_HOUR = timedelta(hours=1)
WRONG: dict[str, Callable[[Forge], str | None]] = {
    "no token": lambda forge: None,
    "empty": lambda forge: "",
    "garbage": lambda forge: "garbage",
    "garbage in three parts": lambda forge: "a.b.c",
    "expired": lambda forge: forge.signed(exp=forge.service.now() - AN_HOUR),
    "wrong issuer": lambda forge: forge.signed(iss="somebody"),
    "wrong audience": lambda forge: forge.signed(aud="something"),
    "our audience among others": lambda forge: forge.signed(aud=[tokens.AUDIENCE, "something"]),
    "alg none": lambda forge: forge.unsigned("none", lambda body: b""),
    "key confusion": lambda forge: forge.unsigned(
        "HS256", lambda body: hmac.digest(forge.public_pem(), body, hashlib.sha256)
    ),
    "truncated": lambda forge: forge.right()[:-10],
    "without signature": lambda forge: forge.right().rpartition(".")[0] + ".",
    "signature of another token": lambda forge: (
        forge.right().rpartition(".")[0] + "." + forge.right().rpartition(".")[2]
    ),
    "revoked": lambda forge: forge.revoked(),
    "of no session": lambda forge: forge.signed(jti="0" * 32),
    "no expiry": lambda forge: forge.signed(exp=None),
    "no id": lambda forge: forge.signed(jti=None),
    "no issue time": lambda forge: forge.signed(iat=None),
    "no issuer": lambda forge: forge.signed(iss=None),
    "no audience": lambda forge: forge.signed(aud=None),
    "another type": lambda forge: forge.signed({"typ": "JWT"}),
    "critical header": lambda forge: forge.signed({"crit": ["exp"]}),
    "another key": lambda forge: forge.by_another_key(),
    "unknown kid": lambda forge: forge.signed({"kid": "unknown"}),
    "kid with a path": lambda forge: forge.by_another_key(kid="../../../dev/null"),
    "own key in jwk": lambda forge: forge.by_another_key(jwk="own"),
    "own key in jwk without kid": lambda forge: forge.by_another_key(jwk="own", kid=""),
    "own key behind jku": lambda forge: forge.by_another_key(jku="http://127.0.0.1:9/keys"),
    "own key behind x5u": lambda forge: forge.by_another_key(x5u="http://127.0.0.1:9/key"),
    "two tokens": lambda forge: f"{forge.right()},{forge.right()}",
}


def ask(app: Flask, route: Route, token: str | None, **rest: Any) -> TestResponse:
    method, path, _ = route
    name, scheme = ("Auth_token", "") if path.startswith("/xenmobile") else ("Authorization", "Bearer ")
    headers = {} if token is None else {name: scheme + token}
    return a_client(app).open(path, method=method, headers=headers | rest.pop("headers", {}), **rest)


def forge_for(app: Flask, service: Service, route: Route) -> Forge:
    return Forge(app, service, authorization.requirement_of(app, route[2]).scopes)


def test_public_routes_are_these_and_no_other(app: Flask) -> None:
    public = {route[:2] for route in routes(app) if authorization.requirement_of(app, route[2]).is_public}

    assert public == PUBLIC


@pytest.mark.parametrize("wrong", WRONG)
def test_no_route_takes_a_wrong_token(app: Flask, service: Service, wrong: str) -> None:
    for route in guarded(app):
        token = WRONG[wrong](forge_for(app, service, route))
        answer = ask(app, route, token)

        assert answer.status_code == 401, route
        challenge = answer.headers["WWW-Authenticate"]
        assert ('error="invalid_token"' in challenge) == (token is not None), route


def test_no_route_takes_a_token_without_its_scope(app: Flask, service: Service) -> None:
    for route in guarded(app):
        needed = authorization.requirement_of(app, route[2]).scopes
        others = set(Scope) - needed if needed else set()
        answer = ask(app, route, a_token(app, service, others))

        assert answer.status_code == 403, route
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        named = f'scope="{" ".join(sorted(needed))}"' if needed else "insufficient_scope"
        assert named in answer.headers["WWW-Authenticate"]


def test_every_route_takes_the_right_token(app: Flask, service: Service) -> None:
    for route in guarded(app):
        answer = ask(app, route, forge_for(app, service, route).right())

        assert answer.status_code not in {401, 403}, route
        assert answer.status_code < 500, route


def test_no_route_reads_a_token_from_anywhere_else(app: Flask, service: Service) -> None:
    for route in guarded(app):
        token = forge_for(app, service, route).right()
        client = a_client(app)
        for name in ("token", "auth_token", "access_token", "session", "Authorization"):
            client.set_cookie(name, token)
        other = "Authorization" if route[1].startswith("/xenmobile") else "Auth_token"
        query = {"access_token": token, "auth_token": token}
        answer = client.open(
            route[1], method=route[0], query_string=query, headers={other: f"Bearer {token}"}
        )

        assert answer.status_code == 401, route


@pytest.mark.parametrize("name", ["Auth_token", "auth_token", "AUTH_TOKEN", "Auth-Token"])
def test_the_citrix_compatible_api_reads_its_header_in_any_case(
    app: Flask, service: Service, name: str
) -> None:
    headers = {name: a_token(app, service)}

    assert a_client(app).get("/xenmobile/api/v1/certificates", headers=headers).status_code == 200


def test_the_citrix_compatible_api_says_that_two_tokens_are_one_too_many(
    app: Flask, service: Service
) -> None:
    token = a_token(app, service)
    headers = {"Auth_token": f"{token}, {token}"}
    answer = a_client(app).get("/xenmobile/api/v1/certificates", headers=headers)

    assert answer.status_code == 401
    assert "more than one token" in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_v1_reads_the_scheme_in_any_case(app: Flask, service: Service, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {a_token(app, service)}"}

    assert a_client(app).get("/api/v1/limits", headers=headers).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:", ""])
def test_v1_reads_no_other_scheme(app: Flask, service: Service, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {a_token(app, service)}"}

    assert a_client(app).get("/api/v1/limits", headers=headers).status_code == 401


def test_a_token_is_refused_before_the_body_is_read(app: Flask) -> None:
    body = io.BytesIO(b"PK" * 500)
    answer = a_client(app).post("/api/v1/imports", input_stream=body, content_type="application/zip")

    assert answer.status_code == 401
    assert body.tell() == 0


def test_an_app_with_a_view_that_says_nothing_does_not_start(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bulkcert.api.v1 import limits

    monkeypatch.delattr(limits.show, "_bulkcert_requirement")

    with pytest.raises(LookupError, match=r"v1\.limits\.show"):
        create_app(service)


def test_needs_without_a_scope_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="scope"):
        authorization.needs()


def test_a_key_of_before_still_verifies_and_the_newest_signs(new_service: NewService) -> None:
    service = new_service()
    app = an_app(service)
    old = a_token(app, service)
    with service.store.writing() as tx:
        service.access._signing_keys.insert(tx, service.now())
    new = a_token(app, service)

    kids = {jwt.get_unverified_header(token)["kid"] for token in (old, new)}
    assert len(kids) == 2
    for token in (old, new):
        headers = {"Authorization": f"Bearer {token}"}
        assert a_client(app).get("/api/v1/limits", headers=headers).status_code == 200


def test_a_token_that_was_issued_a_moment_ahead_of_this_clock_is_good(app: Flask, service: Service) -> None:
    forge = Forge(app, service, frozenset())
    token = forge.signed(iat=service.now() + timedelta(seconds=30))

    assert ask(app, ("GET", "/api/v1/limits", ""), token).status_code == 200


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["EdDSA", "at+jwt"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5c", "cty"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.dictionaries(names, jsons), payload=jsons, signature=st.binary(max_size=80))
def test_no_forged_token_does_more_than_fail(
    app: Flask, header: dict[str, Any], payload: Any, signature: bytes
) -> None:
    token = ".".join([part(header), encoded(json.dumps(payload).encode()), encoded(signature)])

    with app.app_context(), pytest.raises(Unauthenticated):
        tokens.verify_token(token)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.from_regex(r"[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*", fullmatch=True))
def test_no_text_does_more_than_fail(app: Flask, token: str) -> None:
    with app.app_context(), pytest.raises(Unauthenticated):
        tokens.verify_token(token)


@pytest.mark.parametrize(
    "header", ["[" * 2900, '{"alg":' * 400, '{"kid":[[[]]]}', "1", '"x"', '{"alg":"EdDSA","kid":{}}']
)
def test_a_header_of_another_shape_fails(app: Flask, header: str) -> None:
    token = f"{encoded(header.encode())}.e30.AAAA"

    with app.app_context(), pytest.raises(Unauthenticated):
        tokens.verify_token(token)
