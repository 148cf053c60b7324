"""`bulkcert init`: make everything that the service needs, once."""

import os
import secrets
import socket
from dataclasses import dataclass

import click

from bulkcert import passwords
from bulkcert.cli.tls import make_certificate
from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.errors import BadSettings, Fault
from bulkcert.secret import Secret
from bulkcert.wiring import initialise


@dataclass(frozen=True)
class _Password:
    value: Secret
    is_generated: bool


@click.command()
def init() -> None:
    """Make the data directory: master key, database, administrator, TLS certificate. Safe to run twice."""
    config = Config.from_environment(os.environ)
    password = _administrator_password()
    made = initialise(config, password.value)
    fingerprint = make_certificate(config.data_dir / "tls", socket.gethostname())
    click.echo(f"data directory: {config.data_dir}")
    if not made:
        click.echo("already initialised: nothing was changed")
    elif password.is_generated:
        click.echo("administrator password (shown once): " + password.value.reveal().decode())
    else:
        click.echo("administrator password: as given in BULKCERT_ADMIN_PASSWORD")
    click.echo(f"TLS certificate SHA-256 fingerprint: {fingerprint}")


def _administrator_password() -> _Password:
    given = os.environ.get(ADMIN_PASSWORD)
    if given is None:
        return _Password(Secret(secrets.token_urlsafe(18).encode()), is_generated=True)
    if len(given) < passwords.SHORTEST:
        fault = Fault(ADMIN_PASSWORD, f"must have at least {passwords.SHORTEST} characters")
        raise BadSettings("Settings are wrong.", (fault,))
    return _Password(Secret(given.encode(errors="surrogateescape")), is_generated=False)
