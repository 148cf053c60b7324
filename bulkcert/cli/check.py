"""`bulkcert check`: whether everything fits together, without starting or changing anything."""

import os
from collections.abc import Callable

import click

from bulkcert.cli.tls import check_tls_files
from bulkcert.config import Config
from bulkcert.errors import DatabaseMissing, NotInitialised, Refusal
from bulkcert.formats.pkcs12 import kdf
from bulkcert.wiring.checks import check_confinement, check_rows, check_start
from bulkcert.wiring.installation import check_spool

_SLOW = "Python's own loop (libcrypto cannot be reached: opening takes some 1.4 times as long)"


@click.command()
@click.option("--no-tls", is_flag=True, help="As with `serve`: no certificate is needed.")
@click.option(
    "--worker", is_flag=True, help="As for `worker`: neither spool folder nor certificate is needed."
)
@click.pass_context
def check(context: click.Context, *, no_tls: bool, worker: bool) -> None:
    """Check settings, database, schema, master key, spool folder and TLS certificate."""
    config = Config.from_environment(os.environ)
    click.echo(f"     data directory: {config.data_dir}")
    passes = _passes("database, schema and master key", lambda: check_start(config))
    if passes:
        passes &= bool(_passes("rows are as the service wrote them", lambda: check_rows(config)))
    if passes is not None:
        passes &= worker or bool(_passes("spool folder can be written", lambda: check_spool(config)))
        passes &= (
            no_tls or worker or bool(_passes("TLS certificate and key", lambda: check_tls_files(config)))
        )
        passes &= bool(_passes("confinement of opened files", lambda: str(check_confinement(config))))
    engine = kdf.engine()
    click.echo(f"     key derivation: {engine if engine == 'libcrypto' else _SLOW}")
    context.exit(0 if passes else 1)


def _passes(name: str, test: Callable[[], object]) -> bool | None:
    """Print whether a test passes, with its refusal; returns None where there is no installation at all."""
    try:
        found = test()
    except Refusal as refusal:
        click.echo(f"FAIL {name}: {refusal.detail}")
        for line in (*(f"{fault.where}: {fault.detail}" for fault in refusal.faults), refusal.remedy):
            click.echo(f"     {line}")
        return None if isinstance(refusal, NotInitialised | DatabaseMissing) else False
    click.echo(f"ok   {name}: {found}" if isinstance(found, str) else f"ok   {name}")
    return True
