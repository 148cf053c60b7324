"""`bulkcert client`: machines that get tokens with a secret."""

import json
from datetime import timedelta

import click

from bulkcert.cli.local_service import actor, every, local_service
from bulkcert.values.principals import IssuedClient, Scope

_MOST_OVERLAP_HOURS = 30 * 24


@click.group()
def client() -> None:
    """Look after machine clients."""


@client.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice([str(s) for s in Scope]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def create(name: str, scopes: tuple[str, ...], *, as_json: bool) -> None:
    """Make a client; its secret is printed once. Name each scope with a --scope of its own."""
    with local_service() as service:
        issued = service.accounts.create_client(name, frozenset(map(Scope, scopes)), actor())
    _show(issued, as_json=as_json)


@client.command("list")
def list_clients() -> None:
    """List clients: id, name, scopes, state."""
    with local_service() as service:
        for each in every(service.accounts.clients):
            state = "disabled" if each.is_disabled else "enabled"
            click.echo(f"{each.login}\t{each.name}\t{' '.join(sorted(each.scopes))}\t{state}")


@client.command()
@click.argument("client_id")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, _MOST_OVERLAP_HOURS),
    default=24,
    show_default=True,
    help="How long the secret of before still works.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def rotate(client_id: str, overlap_hours: int, *, as_json: bool) -> None:
    """Give a client another secret, which is printed once."""
    with local_service() as service:
        issued = service.accounts.rotate_client(client_id, timedelta(hours=overlap_hours), actor())
    _show(issued, as_json=as_json)


@client.command()
@click.argument("client_id")
def disable(client_id: str) -> None:
    """Disable a client; its tokens end at once."""
    with local_service() as service:
        found = service.accounts.disable_client(client_id, actor())
        click.echo(f"{found.login}: disabled")


def _show(issued: IssuedClient, *, as_json: bool) -> None:
    client_id, secret = issued.client.login, issued.secret.reveal().decode()
    if as_json:
        scopes = sorted(issued.client.scopes)
        click.echo(json.dumps({"client_id": client_id, "client_secret": secret, "scopes": scopes}))
    else:
        click.echo(f"client_id: {client_id}\nclient_secret: {secret}")
        click.echo("Keep the secret now: it is not shown again.", err=True)
