"""Who may do what: scopes, roles, and the caller of a request."""

import enum
from dataclasses import dataclass
from datetime import datetime


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


@dataclass(frozen=True)
class Caller:
    """Whoever makes a request: the user, the token that was shown, and what it allows."""

    user_id: int
    login: str
    token_id: str
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Session:
    """A token as it stands in the database. `expires_at` is its end however busy it is."""

    token_id: str
    user_id: int
    login: str
    role: Role
    scopes: frozenset[Scope]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key that tokens are signed with: private key as PKCS#8 PEM is kept by `Secret` elsewhere."""

    key_id: str
    public_pem: bytes
