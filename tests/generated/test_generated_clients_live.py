"""From openapi.yaml two generators make clients that work on the running service; two linters find no error in it.

The tools are those of `.ci/package-lock.json` and `requirements-ci.lock`; a machine without them skips by name.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_bundle
from tests.live.service import LIVE, LiveService

HERE = Path(__file__).parent
CONTRACT = HERE.parent.parent / "openapi.yaml"
SILENT = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}

pytestmark = [*LIVE, pytest.mark.timeout(600)]


def the_tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env=os.environ | SILENT | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("generated") / "data") as service:
        yield service


@pytest.fixture
def bundles(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "form.zip", tmp_path / "raw.zip"]
    for path, name in zip(paths, ["FORM00000001", "BODY00000001"], strict=True):
        path.write_bytes(a_bundle([name, f"{name[:-1]}2"]))
    return paths


def use(service: LiveService, *command: str | Path, **environment: str) -> None:
    """Run a program that uses a generated client, and check what it saw."""
    done = subprocess.run(
        [str(word) for word in command],
        env=os.environ | environment,
        input=service.password,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = ["FORM00000001", "FORM00000002", "BODY00000001", "BODY00000002"]
    assert json.loads(done.stdout) == {
        "code": "wrong_credentials",
        "states": ["succeeded", "succeeded"],
        "items": [[name, "created"] for name in names],
        "certificates": sorted(names),
    }


def test_a_client_by_openapi_python_client(service: LiveService, bundles: list[Path], tmp_path: Path) -> None:
    generator = the_tool("openapi-python-client")
    config = HERE / "client_config.yaml"
    told = run(
        *(generator, "generate", "--path", CONTRACT, "--config", config, "--output-path", tmp_path / "made"),
        PATH=f"{Path(generator).parent}:{os.environ['PATH']}",  # it formats what it made with ruff
    )

    assert "WARNING" not in told, told
    assert "will not be generated" not in told
    python = Path(generator).parent / "python"  # which has httpx and attrs
    script = HERE / "use_client.py"
    use(
        service,
        python,
        script,
        service.base_url,
        service.ca_file,
        *bundles,
        PYTHONPATH=str(tmp_path / "made"),
    )


def test_a_client_by_openapi_ts(service: LiveService, bundles: list[Path], tmp_path: Path) -> None:
    generator, compiler = the_tool("openapi-ts"), the_tool("tsc")
    run(generator, "-i", CONTRACT, "-o", tmp_path / "client", "--no-log-file")
    shutil.copy(HERE / "use_client.ts", tmp_path)
    types = Path(compiler).resolve().parents[2] / "@types"
    run(
        *(compiler, "--strict", "--target", "es2022", "--lib", "es2022,dom,dom.iterable"),
        *("--module", "commonjs", "--moduleResolution", "node", "--typeRoots", types, "--types", "node"),
        *("--outDir", tmp_path / "js", tmp_path / "use_client.ts"),
    )

    script = tmp_path / "js" / "use_client.js"
    use(service, "node", script, service.base_url, *bundles, NODE_EXTRA_CA_CERTS=str(service.ca_file))


def test_redocly_finds_no_error() -> None:
    assert "is valid" in run(the_tool("redocly"), "lint", "--extends", "recommended", CONTRACT)


def test_spectral_finds_no_error(tmp_path: Path) -> None:
    rules = tmp_path / "spectral.yaml"
    rules.write_text('extends: ["spectral:oas"]\n')

    run(the_tool("spectral"), "lint", "--fail-severity", "error", "--ruleset", rules, CONTRACT)
