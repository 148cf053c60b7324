"""The arguments of commands, as everybody on the machine can read them while a command runs."""

import shlex
import shutil
from pathlib import Path

from tests.live.witnesses import require


class WatchedCommands:
    """Commands that write down their arguments before they run.

    folder: put it first on PATH.
    """

    def __init__(self, place: Path, *names: str) -> None:
        self.folder = place / "commands"
        self.folder.mkdir()
        self._log = place / "arguments"
        for name in names:
            require(name)
            command = self.folder / name
            command.write_text(
                f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" >>{shlex.quote(str(self._log))}\n'
                f'exec {shutil.which(name)} "$@"\n'
            )
            command.chmod(0o700)

    @property
    def arguments(self) -> str:
        """Every argument of every command until now, one after the other."""
        return self._log.read_text()
