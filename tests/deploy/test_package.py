"""What is built to be installed: a wheel and an sdist that are complete by themselves, and say what they are."""

import email.message
import email.parser
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from trove_classifiers import classifiers

from tests.paths import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> dict[str, bytes]:
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(built) -> set[str]:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def metadata_of(wheel: dict[str, bytes]) -> email.message.Message:
    [text] = [content for name, content in wheel.items() if name.endswith(".dist-info/METADATA")]
    return email.parser.BytesParser().parsebytes(text)


@pytest.mark.slow
def test_the_wheel_holds_the_documents_that_the_service_serves(wheel):
    assert wheel["bulkcert/documents/openapi.yaml"] == (ROOT / "openapi.yaml").read_bytes()
    assert wheel["bulkcert/documents/problems.md"] == (ROOT / "docs" / "problems.md").read_bytes()


@pytest.mark.slow
def test_the_wheel_holds_every_module_of_the_package_and_no_demo_nor_tests(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "bulkcert"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    packed = {name for name in wheel if ".dist-info/" not in name}

    assert packed - {"bulkcert/documents/openapi.yaml", "bulkcert/documents/problems.md"} == set(tracked)


def test_the_sdist_holds_what_builds_tests_and_deploys_it(sdist):
    wanted = {
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "pyproject.toml",
        "requirements.lock",
        "requirements-dev.lock",
    }
    wanted |= {"openapi.yaml", "docs/problems.md", "tests/conftest.py", "bulkcert/py.typed"}

    assert wanted <= sdist


def test_the_metadata_names_licence_authors_and_purpose(wheel):
    metadata = metadata_of(wheel)

    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Author"] == metadata["Maintainer"] == "The bulkcert authors"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Keywords"]
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)


def test_every_classifier_is_one_that_the_index_knows(wheel):
    assert set(metadata_of(wheel).get_all("Classifier") or ()) <= classifiers


@pytest.mark.slow
def test_the_contract_names_the_same_licence_and_authors(wheel):
    metadata = metadata_of(wheel)
    stated = yaml.safe_load((ROOT / "openapi.yaml").read_bytes())["info"]

    assert stated["license"]["identifier"] == metadata["License-Expression"]
    assert stated["contact"]["name"] == metadata["Author"]
    assert stated["version"] == metadata["Version"]
