"""The page that installs the service names files and commands that are there."""

import re

import pytest

from bulkcert.cli import main
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "install.md").read_text()
COMMANDS = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\bdeploy/\S+", COMMANDS))))
def test_a_file_that_is_installed_is_in_the_repository(path):
    assert list(ROOT.glob(path)), path


def test_everything_of_the_deployment_on_one_machine_is_installed_by_the_page():
    named = {found for path in re.findall(r"\bdeploy/\S+", PAGE) for found in ROOT.glob(path.rstrip("`,.:"))}
    kept = {
        path
        for path in (ROOT / "deploy").rglob("*")
        if path.is_file() and "container" not in path.parts and "__pycache__" not in path.parts
    }

    assert kept - named == set()


@pytest.mark.parametrize("words", sorted(set(re.findall(r"^bulkcert ([a-z ]+)$", COMMANDS, re.MULTILINE))))
def test_a_command_of_the_page_is_one(words):
    command = main
    for word in words.split():
        command = command.commands[word]  # raises where there is none

    assert command.name == words.split()[-1]


def test_a_file_that_is_installed_is_removed_again():
    before, removal = COMMANDS.split("systemctl disable --now")
    installed = re.findall(r"^install .* (/(?:etc|usr)/\S*[^/\s])$", before, re.MULTILINE)
    removed = re.findall(r"/\S+", removal)

    assert len(installed) > 5
    for path in set(installed) - {"/etc/systemd/journald.conf.d"}:  # which is everybody's
        assert any(path == gone or path.startswith(f"{gone}/") for gone in removed), path
