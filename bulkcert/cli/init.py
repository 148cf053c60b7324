"""`bulkcert init`: make everything that the service needs, once."""

import ipaddress
import os
import re
import secrets
import socket
from dataclasses import dataclass

import click

from bulkcert.cli.tls import fingerprint, make_certificate, missing_names
from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.values.secret import Secret
from bulkcert.wiring.initialisation import initialise


@dataclass(frozen=True)
class _Password:
    value: Secret
    is_generated: bool


_DNS_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*")


def _host_names(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for name in given:
        if not _DNS_NAME.fullmatch(name) and not _is_address(name):
            raise click.BadParameter(
                f"{name!r} is neither a DNS name (write one with other letters as xn--...) nor an IP address."
            )
    return given


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@click.command()
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    callback=_host_names,
    help="A DNS name (or address) that clients reach the service by, for its certificate; repeatable.",
)
def init(host_names: tuple[str, ...]) -> None:
    """Make the data directory: master key, database, administrator, TLS certificate. Safe to run twice."""
    config = Config.from_environment(os.environ)
    password = _administrator_password()
    has_spool = config.spool_dir.is_dir()
    made = initialise(config, password.value)
    certificate_file = config.data_dir / "tls" / "certificate.pem"
    made_certificate = make_certificate(certificate_file.parent, _certificate_names(host_names))
    click.echo(f"data directory: {config.data_dir}")
    if not made:
        again = {"the spool folder": not has_spool, "the TLS certificate": made_certificate}
        missing = " and ".join(name for name, is_made in again.items() if is_made)
        click.echo(
            "already initialised: "
            + (f"{missing} made, nothing else changed" if missing else "nothing was changed")
        )
    elif password.is_generated:
        click.echo("administrator password (shown once): " + password.value.reveal().decode())
    else:
        click.echo("administrator password: as given in BULKCERT_ADMIN_PASSWORD")
    click.echo(f"TLS certificate SHA-256 fingerprint: {fingerprint(certificate_file)}")
    if left_out := missing_names(certificate_file, host_names):
        raise click.ClickException(
            f"{certificate_file} was made before and does not name {', '.join(left_out)}: move it and key.pem"
            " away, and run the same command again for a new one."
        )


def _certificate_names(given: tuple[str, ...]) -> list[str]:
    """Return the names for a new certificate: those that were given, and the machine's own."""
    own = socket.gethostname()
    return [*given, *([own] if _DNS_NAME.fullmatch(own) else [])]


def _administrator_password() -> _Password:
    given = os.environ.get(ADMIN_PASSWORD)
    if given is None:
        return _Password(Secret(secrets.token_urlsafe(18).encode()), is_generated=True)
    return _Password(Secret(given.encode(errors="surrogateescape")), is_generated=False)
