"""`bulkcert db`: the schema of the database."""

import os

import click

from bulkcert.config import Config
from bulkcert.installation import upgrade_database


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
def upgrade() -> None:
    """Bring the database to the schema of this release. Stop the service first, and make a backup."""
    before, after = upgrade_database(Config.from_environment(os.environ))
    click.echo(f"schema {after}: nothing to do" if before == after else f"schema {before} -> {after}")
