"""`bulkcert user`: people who log in."""

from pathlib import Path

import click

from bulkcert.cli.local_service import actor, every, local_service, password_options, read_password
from bulkcert.values.principals import IssuedUser, Role

_ROLE = click.Choice([str(role) for role in Role])


@click.group()
def user() -> None:
    """Look after users. A password that is not given is generated, and printed once."""


@user.command()
@click.argument("name")
@click.option("--role", type=_ROLE, required=True)
@password_options
def create(
    name: str, role: str, password_file: Path | None, *, password_stdin: bool, password_prompt: bool
) -> None:
    """Make a user."""
    with local_service() as service:
        password = read_password(password_file, stdin=password_stdin, prompt=password_prompt)
        _show(service.accounts.create_user(name, Role(role), password, actor()))


@user.command("list")
def list_users() -> None:
    """List users: login, role, state."""
    with local_service() as service:
        for each in every(service.accounts.users):
            click.echo(f"{each.login}\t{each.role}\t{'disabled' if each.is_disabled else 'enabled'}")


@user.command()
@click.argument("name")
def disable(name: str) -> None:
    """Disable a user; its tokens end at once."""
    with local_service() as service:
        found = service.accounts.disable_user(name, actor())
        click.echo(f"{found.login}: disabled")


@user.command()
@click.argument("name")
@click.argument("new_role", metavar="ROLE", type=_ROLE)
def role(name: str, new_role: str) -> None:
    """Give a user another role; its tokens end at once."""
    with local_service() as service:
        found = service.accounts.change_role(name, Role(new_role), actor())
        click.echo(f"{found.login}: {found.role}")


@user.command()
@click.argument("name")
@password_options
def password(
    name: str, password_file: Path | None, *, password_stdin: bool, password_prompt: bool
) -> None:  # fmt: skip
    """Give a user another password; its tokens end at once."""
    with local_service() as service:
        given = read_password(password_file, stdin=password_stdin, prompt=password_prompt)
        _show(service.accounts.set_password(name, given, actor()))


def _show(issued: IssuedUser) -> None:
    click.echo(f"login: {issued.user.login}\nrole: {issued.user.role}")
    if issued.generated_password is not None:
        click.echo("password (shown once): " + issued.generated_password.reveal().decode())
