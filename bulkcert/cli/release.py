"""`bulkcert release`: hand a device's key and certificate out, into a file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from bulkcert.cli.local_service import actor, local_service, password_options, read_password
from bulkcert.values.releases import Encryption, ReleaseFormat


@click.command()
@click.argument("certificate_id", metavar="ID", type=click.IntRange(min=1))
@click.option(
    "--format",
    "release_format",
    type=click.Choice([str(each) for each in ReleaseFormat]),
    help=f"Default: {ReleaseFormat.PKCS12}.",
)
@click.option(
    "--encryption",
    type=click.Choice([str(each) for each in Encryption]),
    help="Of a PKCS#12; default: aes256. apple_legacy: 3DES and SHA-1, for older Apple systems.",
)
@click.option(
    "--profile",
    "policy_id",
    metavar="POLICY",
    type=click.IntRange(min=1),
    help="Write a configuration profile under the VPN policy of this id, to install by hand.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A file that is not there yet.")
@password_options
def release(
    certificate_id: int,
    release_format: str | None,
    encryption: str | None,
    policy_id: int | None,
    out: Path,
    password_file: Path | None,
    *,
    password_stdin: bool,
    password_prompt: bool,
) -> None:
    """Write key, certificate and chain of the certificate ID to a file, and record it.

    A password that is not given is generated, and printed once. With --profile, the password is in the file.
    """
    if release_format == ReleaseFormat.PEM and encryption is not None:
        raise click.UsageError("--encryption goes with pkcs12; pem has one of its own.")
    if policy_id is not None:
        if release_format or encryption or password_file or password_stdin or password_prompt:
            raise click.UsageError("--profile goes with --out alone: its PKCS#12 and password are inside.")
        _release_profile(policy_id, certificate_id, out)
        return
    password = read_password(password_file, stdin=password_stdin, prompt=password_prompt)
    with local_service() as service, _new_file(out) as file:
        released = service.key_release.release(
            certificate_id,
            ReleaseFormat(release_format or ReleaseFormat.PKCS12),
            Encryption(encryption or Encryption.AES256),
            password,
            actor(),
        )
        file.write(released.content.reveal())
    click.echo(f"fingerprint (SHA-256): {released.fingerprint_sha256}")
    if password is None:
        click.echo("password (shown once): " + released.password.reveal().decode())


def _release_profile(policy_id: int, certificate_id: int, out: Path) -> None:
    with local_service() as service, _new_file(out) as file:
        made = service.profile_release.export(policy_id, certificate_id, actor())
        file.write(made.content.reveal())
    click.echo(f"fingerprint (SHA-256): {made.fingerprint_sha256}")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Make a file of mode 0600 before anything is released; take it away where nothing was."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.UsageError("--out: there is a file of this name already.") from None
    except OSError as failure:
        raise click.UsageError(f"--out: the file cannot be made ({failure.strerror}).") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
