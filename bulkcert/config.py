"""Settings: `BULKCERT_*` environment variables, read once, checked as a whole.

`Config.from_environment` is the only reader. Every field carries its variable's name and its help, from
which `docs/operations.md` is held complete by a test.
"""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulkcert.errors import BadSettings, Fault
from bulkcert.values import database_url
from bulkcert.values.limits import Limits

PREFIX = "BULKCERT_"
DEFAULT_DATA_DIR = Path("bulkcert-data")
ADMIN_PASSWORD = "BULKCERT_ADMIN_PASSWORD"  # noqa: S105 - a variable's name
"""Read by `bulkcert init` alone, and never kept in a Config."""


def _setting(
    name: str, default: Any, meaning: str, read: Callable[[str], Any], *, is_shown: bool = True
) -> Any:
    metadata = {"variable": PREFIX + name, "help": meaning, "read": read}
    return field(default=default, metadata=metadata, repr=is_shown)


def _path(text: str) -> Path:
    if not text:
        raise ValueError("must not be empty")
    return Path(text)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


_ORIGIN = re.compile(
    r"https://(?:[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE
)


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("must be https://HOST or https://HOST:PORT, without a path or a slash at its end")
    return text


def _namespace(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,40}(\.[A-Za-z0-9-]{1,40}){1,5}", text):
        raise ValueError("must be a domain, reversed, such as com.example.vpn")
    return text


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError("must be networks, apart by commas, such as 10.0.0.0/8,192.0.2.7") from None


def _positive(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise ValueError("must be a whole number from 1 up")
    return value


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a whole number, 0 or more")
    return int(text)


def _yes_or_no(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


@dataclass(frozen=True)
class Config:
    """Every setting. Times are in seconds unless the name says otherwise."""

    data_dir: Path = _setting("DATA_DIR", DEFAULT_DATA_DIR, "directory of everything that is kept", _path)
    database_url: str = _setting(
        "DATABASE_URL",
        "",
        "`sqlite:///...` or `postgresql+psycopg://...`; default: SQLite in the data directory",
        database_url.read,
        is_shown=False,  # it may hold a password
    )
    database_pool_size: int = _setting(
        "DATABASE_POOL_SIZE", 20, "connections to the database that a process keeps open at most", _positive
    )
    database_pool_overflow: int = _setting(
        "DATABASE_POOL_OVERFLOW", 20, "connections that it may open beyond them at a peak", _whole
    )
    database_timeout_seconds: int = _setting(
        "DATABASE_TIMEOUT_SECONDS",
        10,
        "the longest wait for a free connection, and for the database to answer a new one",
        _positive,
    )
    master_key_file: Path | None = _setting(
        "MASTER_KEY_FILE", None, "the master key; default: master.key in the data directory", _path
    )
    master_key_shared: bool = _setting(
        "MASTER_KEY_SHARED",
        False,
        "`true`: the platform mounts the master key with access for others, which is refused otherwise",
        _yes_or_no,
    )
    tls_certificate_file: Path | None = _setting(
        "TLS_CERTIFICATE_FILE", None, "PEM chain of the HTTPS server; default: the one init made", _path
    )
    tls_key_file: Path | None = _setting("TLS_KEY_FILE", None, "PEM key of the HTTPS server", _path)
    public_url: str | None = _setting(
        "PUBLIC_URL",
        None,
        "the address that clients use, `https://HOST` or `https://HOST:PORT`; for OAuth metadata",
        _origin,
    )
    token_lifetime_seconds: int = _setting(
        "TOKEN_LIFETIME_SECONDS", 3600, "how long a token is valid at most", _positive
    )
    login_timeout: str = _setting(
        "LOGIN_TIMEOUT",
        "static",
        "`static`: a login ends after its lifetime; `inactivity`: also after LOGIN_INACTIVITY_MINUTES unused",
        _one_of("static", "inactivity"),
    )
    login_inactivity_minutes: int = _setting(
        "LOGIN_INACTIVITY_MINUTES",
        15,
        "minutes without a request that end a login of kind inactivity",
        _positive,
    )
    default_wait_seconds: int = _setting(
        "WAIT_SECONDS", 5, "how long POST /api/v1/imports waits for the end before it answers 202", _whole
    )
    longest_wait_seconds: int = _setting(
        "LONGEST_WAIT_SECONDS", 60, "the longest wait that `Prefer: wait` may ask for", _whole
    )
    citrix_wait_seconds: int = _setting(
        "CITRIX_WAIT_SECONDS",
        900,
        "how long the Citrix-compatible import waits before it answers 503",
        _positive,
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        "TRUSTED_PROXIES",
        _networks("127.0.0.0/8,::1/128"),
        "with --behind-proxy: networks whose proxies are believed what they write into X-Forwarded-For",
        _networks,
    )
    body_seconds: int = _setting(
        "BODY_SECONDS",
        10,
        "seconds within which a body of up to 64 KiB must be there, and which a longer one may lag behind",
        _positive,
    )
    body_rate: int = _setting(
        "BODY_RATE", 16 * 1024, "bytes a second that an upload must send at least", _positive
    )
    require_confinement: bool = _setting(
        "REQUIRE_CONFINEMENT",
        False,
        "`true`: do not start where the kernel cannot confine the process that opens PKCS#12 files",
        _yes_or_no,
    )
    lease_seconds: int = _setting("LEASE_SECONDS", 20, "how long a worker keeps a chunk to itself", _positive)
    report_days: int = _setting(
        "REPORT_DAYS",
        90,
        "days that the items of an ended import or deletion are kept; counts stay",
        _positive,
    )
    profile_namespace: str = _setting(
        "PROFILE_NAMESPACE",
        "com.bulkcert.vpn",
        "what identifiers of VPN profiles begin with: your domain, reversed; a change installs all anew",
        _namespace,
    )
    profile_certificate_file: Path | None = _setting(
        "PROFILE_CERTIFICATE_FILE", None, "PEM certificate and chain that VPN profiles are signed with", _path
    )
    profile_key_file: Path | None = _setting(
        "PROFILE_KEY_FILE", None, "PEM key that VPN profiles are signed with", _path
    )
    mdm_wait_seconds: int = _setting(
        "MDM_WAIT_SECONDS",
        600,
        "how long nothing may be heard of a device that was sent something before it is woken or asked again",
        _positive,
    )
    mdm_ca_file: Path | None = _setting(
        "MDM_CA_FILE", None, "PEM certificates that verify the MDM server, instead of the system's", _path
    )
    mdm_allow_http: bool = _setting(
        "MDM_ALLOW_HTTP", False, "`true`: plain HTTP to an MDM server on another machine", _yes_or_no
    )
    log_level: str = _setting(
        "LOG_LEVEL", "info", "least level that is logged", _one_of("debug", "info", "warning", "error")
    )
    limits: Limits = Limits()
    variables: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """Names of the variables that were set, so that messages can say where a path comes from."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Config":
        """Read all settings, or raise `BadSettings` with one fault for each that is unknown or bad."""
        faults: list[Fault] = []
        variables = frozenset(name for name in environ if name.startswith(PREFIX))
        unread = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
        unread.pop(ADMIN_PASSWORD, None)
        values = _read(_readers(cls), unread, faults)
        limits = _read(_limit_readers(), unread, faults)
        faults += [Fault(name, "is not a setting (docs/operations.md lists them)") for name in sorted(unread)]
        if (values.get("tls_certificate_file") is None) != (values.get("tls_key_file") is None):
            faults.append(Fault("BULKCERT_TLS_KEY_FILE", "certificate and key file go together"))
        if (values.get("profile_certificate_file") is None) != (values.get("profile_key_file") is None):
            faults.append(Fault("BULKCERT_PROFILE_KEY_FILE", "certificate and key file go together"))
        limits_read = Limits(**limits)
        if values.get("lease_seconds", cls.lease_seconds) <= 3 * limits_read.opening_wall_seconds:
            # A third is gone when it is renewed, and a file may be opened twice before the next time.
            detail = "must be more than three times BULKCERT_LIMIT_OPENING_WALL_SECONDS"
            faults.append(Fault("BULKCERT_LEASE_SECONDS", detail))
        if faults:
            raise BadSettings("Settings are wrong.", tuple(faults))
        config = cls(**values, limits=limits_read, variables=variables)
        return config._with_places()

    def _with_places(self) -> "Config":
        """Fill the places that follow from the data directory."""
        data_dir = self.data_dir.absolute()
        return dataclasses.replace(
            self,
            data_dir=data_dir,
            database_url=self.database_url or f"sqlite:///{data_dir / 'bulkcert.sqlite3'}",
            master_key_file=(self.master_key_file or data_dir / "master.key").absolute(),
            tls_certificate_file=(
                self.tls_certificate_file or data_dir / "tls" / "certificate.pem"
            ).absolute(),
            tls_key_file=(self.tls_key_file or data_dir / "tls" / "key.pem").absolute(),
        )

    @property
    def database_file(self) -> Path | None:
        """The file of an SQLite database; None on PostgreSQL."""
        if not self.database_url.startswith("sqlite:///"):
            return None
        return Path(self.database_url.removeprefix("sqlite:///").partition("?")[0])

    @property
    def database_name(self) -> str:
        """Where the database is, for messages: SQLite's path, or PostgreSQL's server. Never a password."""
        if (file := self.database_file) is not None:
            return str(file.absolute())
        match = database_url.POSTGRES.fullmatch(self.database_url)
        assert match is not None
        return f"PostgreSQL database {match['database']} on {match['server'] or 'the local server'}"

    @property
    def spool_dir(self) -> Path:
        """Where uploads wait, encrypted, while they are read: the data volume, never a memory file system."""
        return self.data_dir / "spool"


_OWN_NAMES = {
    "rsa_primality_rounds": "BULKCERT_RSA_PRIMALITY",
    "allow_without_mac": "BULKCERT_ALLOW_WITHOUT_MAC",
}
"""What is more than a limit has a name of its own."""

Reader = tuple[str, Callable[[str], Any]]


def _readers(config: type[Config]) -> dict[str, Reader]:
    return {
        item.name: (item.metadata["variable"], item.metadata["read"])
        for item in dataclasses.fields(config)
        if item.metadata
    }


def _limit_readers() -> dict[str, Reader]:
    return {
        item.name: (limit_variable(item.name), _reader_of(item.default))
        for item in dataclasses.fields(Limits)
    }


def _reader_of(default: object) -> Callable[[str], Any]:
    if isinstance(default, bool):
        return _yes_or_no
    return _positive if default else _whole


def limit_variable(name: str) -> str:
    """Name the environment variable of a limit."""
    return _OWN_NAMES.get(name, f"{PREFIX}LIMIT_{name.upper()}")


def _read(readers: dict[str, Reader], unread: dict[str, str], faults: list[Fault]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, (variable, read) in readers.items():
        if (text := unread.pop(variable, None)) is None:
            continue
        try:
            values[name] = read(text)
        except ValueError as reason:
            faults.append(Fault(variable, str(reason)))
    return values
