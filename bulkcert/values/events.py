"""The audit vocabulary: numbers and names.

1000 imports, 2000 certificates, 3000 deletion and revocation, 4000 deployments, 5000 instances,
6000 access, 7000 keys, 8000 expiry. A number never changes its meaning.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


class EventType(enum.IntEnum):
    """What may be recorded."""

    IMPORT_ACCEPTED = 1000
    IMPORT_FINISHED = 1001
    IMPORT_CANCELLED = 1002
    CERTIFICATE_CREATED = 2000
    CERTIFICATE_REPLACED = 2001
    CERTIFICATE_WITHDRAWN = 2002
    DELETION_ACCEPTED = 3000
    DELETION_FINISHED = 3001
    CERTIFICATE_DELETED = 3002
    POLICY_CREATED = 4000
    POLICY_REPLACED = 4001
    POLICY_DELETED = 4002
    DEPLOYMENT_DELIVERED = 4010
    DEPLOYMENT_INSTALLED = 4011
    DEPLOYMENT_FAILED = 4012
    DEPLOYMENT_REMOVED = 4013
    DEPLOYMENT_RETRIED = 4014
    DEVICE_PINNED = 4020
    DEVICE_CONTESTED = 4021
    DEVICE_CONFIRMED = 4022
    MDM_SERVER_CHANGED = 4030
    INSTANCE_INITIALISED = 5000
    WORKER_JOINED = 5100
    WORKER_LEFT = 5101
    WORKER_LOST = 5102
    LOGIN = 6000
    LOGIN_REFUSED = 6001
    LOGOUT = 6002
    TOKEN_REVOKED = 6003
    USER_CREATED = 6010
    USER_DISABLED = 6011
    PASSWORD_CHANGED = 6012
    ROLE_CHANGED = 6013
    CLIENT_CREATED = 6020
    CLIENT_SECRET_ROTATED = 6021
    CLIENT_DISABLED = 6022
    SIGNING_KEY_CREATED = 7000
    KEY_RELEASED = 7010


@dataclass(frozen=True)
class Event:
    """One audit record. `actor` is a login, or "system". `facts` hold ids, counts and names
    (text, whole numbers, None), never a secret."""

    type: EventType
    at: datetime
    actor: str
    facts: Mapping[str, object] = field(default_factory=dict)
