"""`bulkcert db`: the schema of the database."""

import os

import click

from bulkcert.config import Config
from bulkcert.wiring.checks import finish_upgrade
from bulkcert.wiring.installation import upgrade_database


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@click.option("--finish", is_flag=True, help="Also bind keys to their rows, sign rows, and demand both.")
def upgrade(*, finish: bool) -> None:
    """Bring the database to the schema of this release. Stop the service first, and make a backup.

    Where several machines share the database, add --finish once all of them run this release: earlier ones
    neither open what it seals nor sign what they write. It needs the master key, and goes on where it was
    interrupted.
    """
    config = Config.from_environment(os.environ)
    before, after = upgrade_database(config)
    click.echo(f"schema {after}: nothing to do" if before == after else f"schema {before} -> {after}")
    if finish:
        click.echo(
            f"keys are bound to their rows, and rows are signed; sealed anew: {finish_upgrade(config)}"
        )
