"""`bulkcert session`: who is logged in."""

import click

from bulkcert.cli.local_service import actor, every, local_service


@click.group()
def session() -> None:
    """Look after sessions, of people and of machines."""


@session.command("list")
def list_sessions() -> None:
    """List live sessions: id, login, end."""
    with local_service() as service:
        for each in every(lambda limit, cursor: service.accounts.sessions(None, limit, cursor)):
            click.echo(f"{each.token_id}\t{each.login}\t{each.expires_at.isoformat(timespec='seconds')}")


@session.command()
@click.argument("session_id")
def revoke(session_id: str) -> None:
    """End a session at once."""
    with local_service() as service:
        service.accounts.revoke_session(session_id, None, actor())
        click.echo(f"{session_id}: revoked")
