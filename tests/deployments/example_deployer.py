"""docs/deployer.py as a process, once or again and again."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from tests.live.service import LiveService
from tests.paths import ROOT

EXAMPLE = ROOT / "docs" / "deployer.py"


def make_client(service: LiveService) -> dict[str, str]:
    scopes = "--scope", "deployments:write", "--scope", "keys:release"
    return dict(json.loads(service.run("client", "create", "deployer", "--json", *scopes)))


def run_example(
    service: LiveService, client: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    environment = {
        "URL": service.base_url,
        "CA": str(service.ca_file),
        "CLIENT_ID": client["client_id"],
        "CLIENT_SECRET": client["client_secret"],
        "no_proxy": "localhost",
    }
    return subprocess.run(
        [sys.executable, "-I", EXAMPLE, folder],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class ExampleDeployer:
    """Carries every deployment that it gets, again and again, until the end.

    runs: how often it asked for work. carried: the devices that had a profile after one of these runs.
    """

    def __init__(self, service: LiveService, folder: Path) -> None:
        self.runs = 0
        self.carried: set[str] = set()
        self._service = service
        self._client = make_client(service)
        self._folder = folder
        self._folder.mkdir()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            run_example(self._service, self._client, self._folder)
            self.carried |= {file.stem for file in self._folder.iterdir()}
            self.runs += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(120)
