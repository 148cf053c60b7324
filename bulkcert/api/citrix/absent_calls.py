"""Calls of the vendor's API that this service does not have. They are refused by name, not as unknown paths.

Only calls in the vendor's published reference are listed; any other path is unknown (404).
"""

import re

_NAMED: tuple[tuple[str, str], ...] = (
    ("GET|POST", "/certificates/csr"),
    ("POST", "/certificates/export"),
    ("POST", "/certificates/import/keystore/(server|saml|apns|listener)"),
    ("POST", "/certificates/import/certificate/(server|saml|listener)"),
    ("DELETE", "/certificates"),
    ("GET|DELETE", "/publicapi/certificates"),
    ("POST", "/device/renewDeviceCert"),
    ("GET|POST|DELETE", "/pki/certauthority"),
    ("PUT", "/pki/certauthority/issuingCA"),
)
"""Method and path below the prefix of this API."""

_FAMILIES = (
    "application", "clientproperties", "deliverygroups", "enrollment", "ldap", "licenses", "localusersgroups",
    "netscaler", "notificationserver", "rbac", "serverproperties", "syslog",
)  # fmt: skip
"""First segments of paths of which this service has no call, or one."""

_ACTIONS = (
    "lock", "unlock", "wipe", "selwipe", "locate", "track", "notification", "appwipe", "applock", "restart",
    "shutdown",
)  # fmt: skip
"""Actions on devices in the vendor's API: POST /device/<action>, or a path below it."""

_OTHERS = re.compile(rf"/(?P<family>{'|'.join(_FAMILIES)})(?:/.*)?|/device/(?:{'|'.join(_ACTIONS)})(?:/.*)?")


def name_absent_call(method: str, path: str) -> str | None:
    """Return the name of a call that only the vendor's API has; None for any other request.

    path: below the prefix of this API. The name consists of words of this module, never of the client's.
    """
    path = path.rstrip("/")
    for methods, pattern in _NAMED:
        if re.fullmatch(methods, method) and re.fullmatch(pattern, path):
            return f"{method} {path}"
    if found := _OTHERS.fullmatch(path):
        return f"/{found['family']}" if found["family"] else "actions on devices"
    return None
