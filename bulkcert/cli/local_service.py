"""What the commands on the local database share: the service, who acts, pages, and passwords."""

import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from bulkcert.config import Config
from bulkcert.values.pages import Page
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service, connect

T = TypeVar("T")
Command = Callable[..., Any]

LONGEST_ACTOR = 200
"""Characters of an actor's name in an event; directories have longer names of users than Unix."""

_LONGEST_PASSWORD_BYTES = 8192
_PAGE = 1000


@contextmanager
def local_service() -> Iterator[Service]:
    """Connect to the database that the settings name; raises as `wiring.connect` does."""
    service = connect(Config.from_environment(os.environ))
    try:
        yield service
    finally:
        service.close()


def actor() -> str:
    """Return the actor of a command in events: `cli:` and the user of the operating system."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"[:LONGEST_ACTOR]
    except KeyError:  # a container's user may have no name
        return f"cli:{os.getuid()}"


def every(page: Callable[[int, str | None], Page[T]]) -> Iterator[T]:
    """Go through a list, page by page."""
    cursor: str | None = None
    while True:
        found = page(_PAGE, cursor)
        yield from found.items
        cursor = found.next_cursor
        if cursor is None:
            return


def password_options(command: Command) -> Command:
    """Let a command take a password, never from its arguments: other users of the machine see those."""
    for option in (
        click.option("--password-prompt", is_flag=True, help="Ask for the password."),
        click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
        click.option(
            "--password-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Read the password from a file.",
        ),
    ):
        command = option(command)
    return command


def read_password(
    file: Path | None, *, stdin: bool, prompt: bool
) -> Secret | None:  # fmt: skip
    """Read the password that the options of `password_options` lead to; None where none is given.

    One line break at its end is not part of it.
    """
    if sum((file is not None, stdin, prompt)) > 1:
        raise click.UsageError("Give one of --password-file, --password-stdin and --password-prompt.")
    if prompt:
        return Secret(
            click.prompt("Password", hide_input=True, confirmation_prompt=True).encode(
                errors="surrogateescape"
            )
        )
    if stdin:
        return _trimmed(sys.stdin.buffer.read(_LONGEST_PASSWORD_BYTES + 1))
    if file is not None:
        with file.open("rb") as opened:
            return _trimmed(opened.read(_LONGEST_PASSWORD_BYTES + 1))
    return None


def _trimmed(content: bytes) -> Secret:
    if len(content) > _LONGEST_PASSWORD_BYTES:
        raise click.UsageError("What was read is too long to be a password.")
    return Secret(content.removesuffix(b"\n").removesuffix(b"\r"))
