"""`bulkcert check`: whether everything fits together, without starting or changing anything."""

import os
from collections.abc import Callable

import click

from bulkcert.config import Config
from bulkcert.errors import Refusal
from bulkcert.formats.pkcs12 import kdf
from bulkcert.wiring import check_confinement, check_start

_SLOW = "Python's own loop (libcrypto cannot be reached: opening takes some 1.4 times as long)"


@click.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Check settings, database, schema and master key, and tell what opens PKCS#12 files."""
    config = Config.from_environment(os.environ)
    checks: dict[str, Callable[[], object]] = {
        "database, schema and master key": lambda: check_start(config),
        "data directory can be written": lambda: _check_writable(config),
        "confinement of opened files": lambda: str(check_confinement(config)),
    }
    failed = [name for name, test in checks.items() if not _passes(name, test)]
    engine = kdf.engine()
    click.echo(f"     key derivation: {engine if engine == 'libcrypto' else _SLOW}")
    context.exit(1 if failed else 0)


def _passes(name: str, test: Callable[[], object]) -> bool:
    try:
        found = test()
    except Refusal as refusal:
        click.echo(f"FAIL {name}: {refusal.detail} {refusal.remedy}")
        return False
    except OSError as failure:
        click.echo(f"FAIL {name}: {failure.strerror}.")
        return False
    click.echo(f"ok   {name}: {found}" if isinstance(found, str) else f"ok   {name}")
    return True


def _check_writable(config: Config) -> None:
    probe = config.spool_dir / f"check-{os.getpid()}"
    probe.touch(mode=0o600, exist_ok=False)
    probe.unlink()
