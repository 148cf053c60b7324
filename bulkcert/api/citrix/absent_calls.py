"""Calls of the vendor's API that this service does not have: they are refused by name, not as unknown paths.

Only what the vendor's published reference prints stands here; any other path is unknown (404).
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
"""Method and path below the prefix of this door."""

_FAMILIES = (
    "application", "clientproperties", "deliverygroups", "enrollment", "ldap", "licenses", "localusersgroups",
    "netscaler", "notificationserver", "rbac", "serverproperties", "syslog",
)  # fmt: skip
"""First parts of paths, of which this service has nothing, or one call."""

_ACTIONS = (
    "lock", "unlock", "wipe", "selwipe", "locate", "track", "notification", "appwipe", "applock", "restart",
    "shutdown",
)  # fmt: skip
"""What the vendor's API does to a device: POST /device/<action>, or a path below it."""

_OTHERS = re.compile(rf"/(?P<family>{'|'.join(_FAMILIES)})(?:/.*)?|/device/(?:{'|'.join(_ACTIONS)})(?:/.*)?")


def name_absent_call(method: str, path: str) -> str | None:
    """Return what to call a request that the vendor's API knows and this one does not; None for any other.

    path: below the prefix of this door. Nothing of the request stands in the name but words of this module.
    """
    path = path.rstrip("/")
    for methods, pattern in _NAMED:
        if re.fullmatch(methods, method) and re.fullmatch(pattern, path):
            return f"{method} {path}"
    if found := _OTHERS.fullmatch(path):
        return f"/{found['family']}" if found["family"] else "actions on devices"
    return None
