"""The examples run as a user runs them, with no package but those the service needs."""

import ast
import importlib
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.live.service import LIVE
from tests.paths import ROOT
from tests.ports import take_port

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


class TestLive:
    pytestmark = LIVE

    def test_the_demo_imports_a_bundle_and_deletes_it_again(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "demo.py", ROOT / "sample_bundles" / "serial-numbers.zip"],
            cwd=tmp_path,
            env=os.environ | {"https_proxy": "http://127.0.0.1:9"},  # a proxy does not reach this machine
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert '"state": "succeeded"' in done.stdout
        assert '"certificates": 0' in done.stdout
        assert list(tmp_path.iterdir()) == []

    def test_the_demo_takes_another_port_where_one_is_in_use(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [str(ROOT / "examples"), *sys.path])
        demo = importlib.import_module("demo")
        used, free = take_port(), take_port()
        monkeypatch.setattr(demo, "_PORTS", (used, free))
        monkeypatch.setattr(demo, "_TRIES", 2)
        monkeypatch.setattr(demo.random, "sample", lambda ports, _count: list(ports))
        with socket.create_server(("127.0.0.1", used)), demo._service(tmp_path) as client:
            assert client.base == f"https://localhost:{free}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_imports_nothing_but_python_and_dependencies_of_the_service(example: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(example.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])

    others = imported - sys.stdlib_module_names
    assert all(any(line.startswith(name) for line in DEPENDENCIES) for name in others), others
