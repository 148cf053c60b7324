# ruff: noqa: ANN401, ARG002 - these are the signatures of marshmallow
"""Schemas of users, clients, tokens, sessions and key releases."""

import base64
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from bulkcert.api.v1.schemas.fields import Password, Text, Timestamp
from bulkcert.api.v1.schemas.pages import PageQuery
from bulkcert.values.principals import Role, Scope
from bulkcert.values.releases import Encryption, ReleaseFormat
from bulkcert.values.secret import Secret

LONGEST_OVERLAP_SECONDS = 30 * 24 * 3600
DEFAULT_OVERLAP_SECONDS = 24 * 3600


class ShownSecret(fields.Field[Secret]):
    """A secret that an answer reveals on purpose: its text, or base64 of its bytes."""

    def __init__(self, *, as_base64: bool = False, **rest: Any) -> None:
        super().__init__(**rest)
        self._as_base64 = as_base64

    def _serialize(self, value: Secret | None, attr: str | None, obj: Any, **rest: Any) -> str | None:
        if value is None:
            return None
        shown = value.reveal()
        return (base64.b64encode(shown) if self._as_base64 else shown).decode()


class ScopeList(fields.List[Scope]):
    """Scopes in alphabetical order, each once."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(fields.Enum(Scope, by_value=fields.String), **rest)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> list[Any] | None:
        return super()._serialize(sorted(value), attr, obj, **rest)


# --- read -------------------------------------------------------------------------------------------


class Login(Schema):
    """The body of POST /sessions."""

    login = Text(required=True)
    password = Password(required=True)


class ClientCredentials(Schema):
    """The form of POST /token (RFC 6749 §4.4.2, §2.3.1). Unknown parameters are ignored (§3.2)."""

    class Meta:
        """Other parameters."""

        unknown = EXCLUDE

    grant_type = Text(least=0, load_default="")
    scope = Text(least=0, most=1024, load_default="")
    client_id = Text(least=0, load_default="")
    client_secret = Password(load_default=Secret(b""))


class Revocation(Schema):
    """The form of POST /token/revoke (RFC 7009 §2.1)."""

    token = Text(most=4096, required=True)
    token_type_hint = Text()
    client_id = Text(least=0, load_default="")
    client_secret = Password(load_default=Secret(b""))


class NewUser(Schema):
    """The body of POST /users."""

    login = Text(required=True)
    role = fields.Enum(Role, by_value=fields.String, required=True)
    password = Password(load_default=None, allow_none=False)


class NewRole(Schema):
    """The body of POST /users/{login}/role."""

    role = fields.Enum(Role, by_value=fields.String, required=True)


class NewPassword(Schema):
    """The body of POST /users/{login}/password."""

    password = Password(load_default=None, allow_none=False)


class OwnPassword(Schema):
    """The body of POST /password."""

    current = Password(required=True)
    new = Password(required=True)


class NewClient(Schema):
    """The body of POST /clients."""

    name = Text(most=100, required=True)
    scopes = ScopeList(required=True, validate=validate.Length(1, len(Scope)))


class Rotation(Schema):
    """The body of POST /clients/{client_id}/rotate."""

    overlap_seconds = fields.Integer(
        strict=True,
        validate=validate.Range(0, LONGEST_OVERLAP_SECONDS),
        load_default=DEFAULT_OVERLAP_SECONDS,
    )


class SessionsQuery(PageQuery):
    """Query parameters of GET /sessions."""

    all = fields.String(validate=validate.OneOf(("true", "false")), load_default="false")


class ReleaseOrder(Schema):
    """The body of POST /certificates/{certificate_id}/release."""

    format = fields.Enum(ReleaseFormat, by_value=fields.String, required=True)
    encryption = fields.Enum(Encryption, by_value=fields.String, load_default=None, allow_none=False)
    password = Password(load_default=None, allow_none=False)


# --- written ----------------------------------------------------------------------------------------


class User(Schema):
    """A user, from `principals.Principal`."""

    login = fields.String()
    role = fields.String()
    scopes = ScopeList()
    disabled = fields.Boolean(attribute="is_disabled")
    created_at = Timestamp()


class IssuedUser(Schema):
    """A user with the password that was generated for it, from `principals.IssuedUser`."""

    login = fields.String(attribute="user.login")
    role = fields.String(attribute="user.role")
    scopes = ScopeList(attribute="user.scopes")
    disabled = fields.Boolean(attribute="user.is_disabled")
    created_at = Timestamp(attribute="user.created_at")
    generated_password = ShownSecret()


class Client(Schema):
    """A client without its secret, from `principals.Principal`."""

    client_id = fields.String(attribute="login")
    name = fields.String()
    scopes = ScopeList()
    disabled = fields.Boolean(attribute="is_disabled")
    created_at = Timestamp()


class IssuedClient(Schema):
    """A client with a new secret, from `principals.IssuedClient`."""

    client_id = fields.String(attribute="client.login")
    client_secret = ShownSecret(attribute="secret")
    name = fields.String(attribute="client.name")
    scopes = ScopeList(attribute="client.scopes")
    disabled = fields.Boolean(attribute="client.is_disabled")
    created_at = Timestamp(attribute="client.created_at")


class Session(Schema):
    """A live token in the database, from `principals.Session`. Its id is the token's `jti`."""

    id = fields.String(attribute="token_id")
    login = fields.String()
    scopes = ScopeList()
    issued_at = Timestamp()
    expires_at = Timestamp()


class Released(Schema):
    """Secret material, from `releases.Released`."""

    format = fields.String()
    content = ShownSecret(as_base64=True)
    password = ShownSecret()
    fingerprint_sha256 = fields.String()
