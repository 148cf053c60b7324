"""`bulkcert db`: the schema of the database."""

import os

import click

from bulkcert.config import Config
from bulkcert.installation import upgrade_database
from bulkcert.wiring import finish_upgrade


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@click.option("--finish", is_flag=True, help="Also bind every sealed key to its row, and demand it.")
def upgrade(*, finish: bool) -> None:
    """Bring the database to the schema of this release. Stop the service first, and make a backup.

    Where several machines share the database, add --finish once all of them run this release: earlier ones
    do not open what it seals. It needs the master key, and goes on where it was interrupted.
    """
    config = Config.from_environment(os.environ)
    before, after = upgrade_database(config)
    click.echo(f"schema {after}: nothing to do" if before == after else f"schema {before} -> {after}")
    if finish:
        click.echo(f"every key is bound to its row; sealed anew: {finish_upgrade(config)}")
