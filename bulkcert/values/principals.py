"""Who may do what: scopes, roles, and the caller of a request."""

import enum
from dataclasses import dataclass
from datetime import datetime

from bulkcert.values.secret import Secret


class Scope(enum.StrEnum):
    """What a token allows. `admin` does not imply `keys:release`."""

    IMPORTS_WRITE = "imports:write"
    IMPORTS_READ = "imports:read"
    CERTIFICATES_READ = "certificates:read"
    CERTIFICATES_DELETE = "certificates:delete"
    KEYS_RELEASE = "keys:release"
    POLICIES_WRITE = "policies:write"
    POLICIES_READ = "policies:read"
    DEPLOYMENTS_WRITE = "deployments:write"
    DEPLOYMENTS_READ = "deployments:read"
    MANAGED_WRITE = "managed:write"
    MANAGED_READ = "managed:read"
    EVENTS_READ = "events:read"
    METRICS_READ = "metrics:read"
    ADMIN = "admin"


def known_scopes(words: str) -> frozenset[Scope]:
    """Return the scopes among words; a word that is none gives nothing."""
    return frozenset(map(Scope, _SCOPES.intersection(words.split())))


_SCOPES = frozenset(Scope)


class Role(enum.StrEnum):
    """What a user is here for; each role is a fixed set of scopes."""

    OWNER = "owner"
    OPERATOR = "operator"
    DEPLOYER = "deployer"
    AUDITOR = "auditor"


_READS = frozenset({
    Scope.IMPORTS_READ, Scope.CERTIFICATES_READ, Scope.POLICIES_READ, Scope.DEPLOYMENTS_READ,
    Scope.MANAGED_READ, Scope.EVENTS_READ, Scope.METRICS_READ,
})  # fmt: skip

SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.OWNER: frozenset(Scope),
    Role.OPERATOR: frozenset({
        Scope.IMPORTS_WRITE, Scope.IMPORTS_READ, Scope.CERTIFICATES_READ, Scope.CERTIFICATES_DELETE,
        Scope.POLICIES_WRITE, Scope.POLICIES_READ, Scope.DEPLOYMENTS_WRITE, Scope.DEPLOYMENTS_READ,
        Scope.MANAGED_WRITE, Scope.MANAGED_READ,
    }),
    Role.DEPLOYER: frozenset({Scope.DEPLOYMENTS_WRITE, Scope.DEPLOYMENTS_READ, Scope.KEYS_RELEASE}),
    Role.AUDITOR: _READS,
}  # fmt: skip


class PrincipalKind(enum.StrEnum):
    """People log in with a password; machines get tokens with a secret."""

    USER = "user"
    CLIENT = "client"


@dataclass(frozen=True)
class Principal:
    """A user or a client as people see it.

    login: a user's login, or a client's `client_id`. A user has a role, a client scopes of its own.
    """

    id: int
    kind: PrincipalKind
    login: str
    name: str
    role: Role | None
    scopes: frozenset[Scope]
    is_disabled: bool
    created_at: datetime


@dataclass(frozen=True)
class Caller:
    """The caller of a request: principal, token, and the scopes of the token."""

    principal_id: int
    login: str
    token_id: str
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Session:
    """A token as it stands in the database. `expires_at` is its end however busy it is."""

    token_id: str
    principal_id: int
    login: str
    scopes: frozenset[Scope]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class IssuedClient:
    """A client with a secret that is shown once and kept only as a digest."""

    client: Principal
    secret: Secret


@dataclass(frozen=True)
class IssuedUser:
    """A user with its password where that was generated, shown once."""

    user: Principal
    generated_password: Secret | None
