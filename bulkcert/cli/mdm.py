"""`bulkcert deployer`: the built-in MDM deployer; `bulkcert mdm`: which MDM server it deploys through."""

import sys

import click

from bulkcert.cli.local_service import actor, local_service
from bulkcert.processes.deployer import carry
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.secret import Secret

_LONGEST_KEY_BYTES = 1024


@click.command()
def deployer() -> None:
    """Carry deployments to devices through the MDM server, until SIGTERM. Several may run."""
    carry(None)


@click.group()
def mdm() -> None:
    """Look after the MDM server that VPN profiles are deployed through."""


@mdm.command("set")
@click.option("--url", required=True, help="Where NanoMDM listens, as https://mdm.example.com.")
def set_server(url: str) -> None:
    """Set the server and its keys; `serve` starts the deployer when it is started the next time.

    The API key (NanoMDM's -api) and the webhook key (-webhook-hmac-key) are asked for, or read from standard
    input, one on each line. They are kept sealed.
    """
    api_key, webhook_key = _read_keys()
    with local_service() as service:
        service.mdm.servers.set(url, api_key, webhook_key, actor())
    click.echo("set; restart `bulkcert serve` for it to start the deployer")


@mdm.command()
def show() -> None:
    """Print where the server listens; its keys are never printed."""
    with local_service() as service:
        found = service.mdm.servers.find()
    click.echo("no MDM server is set" if found is None else found.url)


@mdm.command("contested")
def list_contested() -> None:
    """List identities that two devices claim: type, identity, UDID that has it, UDID that claims it."""
    with local_service() as service:
        cursor: str | None = None
        while True:
            page = service.mdm.devices.contested(1000, cursor)
            for pin in page.items:
                click.echo(f"{pin.identity.type}\t{pin.identity.value}\t{pin.udid}\t{pin.contender_udid}")
            cursor = page.next_cursor
            if cursor is None:
                return


@mdm.command()
@click.argument("identity_type", type=click.Choice([str(each) for each in IdentityType]))
@click.argument("identity")
@click.argument("udid")
def confirm(identity_type: str, identity: str, udid: str) -> None:
    """Say which device an identity belongs to; its deployments go on."""
    with local_service() as service:
        device = DeviceIdentity.parse(IdentityType(identity_type), identity)
        pin = service.mdm.devices.confirm(device, udid, actor())
        click.echo(f"{pin.identity.value}: {pin.udid}")


def _read_keys() -> tuple[Secret, Secret]:
    if sys.stdin.isatty():
        api_key = click.prompt("API key", hide_input=True).encode()
        webhook_key = click.prompt("Webhook key", hide_input=True).encode()
    else:
        lines = sys.stdin.buffer.read(2 * _LONGEST_KEY_BYTES + 4).splitlines()
        if len(lines) != 2:
            raise click.UsageError("Standard input holds two lines: the API key, then the webhook key.")
        api_key, webhook_key = lines
    for key in (api_key, webhook_key):
        if not 0 < len(key) <= _LONGEST_KEY_BYTES:
            raise click.UsageError("A key is empty, or longer than 1024 bytes.")
    return Secret(api_key), Secret(webhook_key)
