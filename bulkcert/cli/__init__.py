"""The commands of `bulkcert`."""

import os
import sys
from typing import Any

import click

from bulkcert import __version__
from bulkcert.cli.check import check
from bulkcert.cli.client import client
from bulkcert.cli.db import db
from bulkcert.cli.init import init
from bulkcert.cli.mdm import deployer, mdm
from bulkcert.cli.release import release
from bulkcert.cli.serve import serve
from bulkcert.cli.session import session
from bulkcert.cli.user import user
from bulkcert.cli.worker import worker
from bulkcert.errors import Refusal, reason_of
from bulkcert.logs import log_refusal, plain_lines
from bulkcert.opening import memory

_SERVICES = {"serve", "worker", "deployer"}
"""Their standard error is a log, unless it is a terminal."""


class _Commands(click.Group):
    """A group whose commands may refuse: the reasons go to standard error, and the exit status is 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            if _logs(ctx):
                log_refusal(f"{ctx.invoked_subcommand} does not start", refusal)
            else:
                click.echo("\n".join(_lines(refusal)), err=True)
            ctx.exit(1)
        except OSError as failure:
            if _logs(ctx) or failure.filename is None:
                raise
            click.echo(f"bulkcert: {failure.filename}: {reason_of(failure)}.", err=True)
            ctx.exit(1)


def _logs(ctx: click.Context) -> bool:
    """Tell whether standard error is the log of a service: then every line of it is JSON."""
    return ctx.invoked_subcommand in _SERVICES and not sys.stderr.isatty()


def _lines(refusal: Refusal) -> list[str]:
    faults = [f"{fault.where}: {fault.detail}" for fault in refusal.faults]
    return [f"bulkcert: {refusal.detail}", *faults, refusal.remedy]


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="bulkcert")
@click.pass_context
def main(context: click.Context) -> None:
    """Import per-device PKCS#12 files in bulk, and keep them sealed."""
    if context.invoked_subcommand not in _SERVICES:
        context.with_resource(plain_lines())
    os.umask(0o077)  # what is made here is its owner's alone
    memory.protect()


for _command in (check, client, db, deployer, init, mdm, release, serve, session, user, worker):
    main.add_command(_command)
