"""The image and the composition, as far as they can be held without a container engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bulkcert import __version__
from bulkcert.cli import main
from bulkcert.config import Config
from tests.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("bulkcert")}
UID = 10001


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, re.MULTILINE)


def tool(name: str) -> str:
    """A tool of continuous integration, which has an environment of its own."""
    found = shutil.which(name, path=f"{ROOT / '.ci' / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip(f"needs {name}")


def variables_of(service: dict) -> dict[str, str]:
    """The environment of a service, with a value where `.env` has one."""
    return {
        name: re.sub(r"\$\{\w+:\?[^}]*\}", "from-dot-env", value)
        for name, value in service["environment"].items()
    }


def test_a_linter_has_nothing_to_say_about_the_image():
    done = subprocess.run(
        [tool("hadolint"), ROOT / "Dockerfile"], check=False, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_composition_is_of_the_form_of_the_compose_specification():
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout


def test_all_that_is_copied_into_the_image_is_there_and_reaches_the_builder():
    let_through = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    for line in instructions("COPY"):
        for source in line.split()[:-1] if "--from" not in line else []:
            assert (ROOT / source).exists(), source
            assert {source, str(Path(source).parent)} & let_through, source


def test_the_image_has_two_stages_another_user_than_root_and_a_health_check():
    assert len(instructions("FROM")) == 2
    assert all(re.search(r":3\.11-slim-bookworm\b", line) for line in instructions("FROM"))
    assert instructions("USER") == [f"{UID}:{UID}"]
    assert instructions("HEALTHCHECK")


def test_the_composition_has_a_database_two_apis_two_workers_and_a_proxy():
    assert set(SERVICES) == {"database", "init", "api1", "api2", "worker1", "worker2", "proxy"}
    assert {service["image"] for service in OURS.values()} == {f"bulkcert:{__version__}"}


@pytest.mark.parametrize("name", OURS)
def test_a_container_may_write_nothing_but_its_volumes_and_gain_no_rights(name):
    service = OURS[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_a_container_runs_a_command_that_takes_its_options_under_settings_that_are_good(name):
    command, *options = OURS[name]["command"]
    main.commands[command].make_context(command, options)  # raises where an option is unknown

    Config.from_environment(
        {key: value for key, value in variables_of(OURS[name]).items() if key.startswith("BULKCERT_")}
    )


def test_every_file_that_is_mounted_is_in_the_repository():
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [name for name in mounted if name.startswith("./") and not name.endswith("/tls")]

    assert files
    assert all((ROOT / name).is_file() for name in files)


def test_the_proxy_asks_the_apis_of_the_composition():
    upstream = (ROOT / "deploy" / "container" / "bulkcert-upstream.conf").read_text()

    assert re.findall(r"server (\w+):8080 ", upstream) == [name for name in OURS if name.startswith("api")]


def test_the_proxy_is_believed_and_nothing_of_another_network_is():
    shared = set(SERVICES["proxy"]["networks"]) & set(SERVICES["api1"]["networks"])
    [network] = [COMPOSE["networks"][name]["ipam"]["config"][0]["subnet"] for name in shared]

    assert network == SERVICES["api1"]["environment"]["BULKCERT_TRUSTED_PROXIES"]


@pytest.mark.slow
def test_the_health_check_fails_in_one_line_where_nothing_answers():
    script = ROOT / "deploy" / "container" / "healthcheck.py"
    environment = {"HEALTHCHECK_URL": "http://127.0.0.1:9/health/ready"}
    done = subprocess.run(
        [sys.executable, script], env=environment, check=False, capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 1
    assert re.fullmatch(r"not ready: .*refused.*\n", done.stderr)


@pytest.mark.live
@pytest.mark.xdist_group("live")
@pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bubblewrap")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_image_s_command_runs_as_its_user_on_a_read_only_root(tmp_path):
    """As the image does it: its environment, entry point, command and health check, on a volume of its own."""
    [entry], [command], [health] = (
        [json.loads(re.sub(r"^.*?(?=\[)", "", line)) for line in instructions(name)]
        for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK")
    )
    health[-1] = str(ROOT / "deploy" / "container" / "healthcheck.py")
    script = f"""
        set -e
        cd /var/lib/bulkcert
        touch /refused 2>/dev/null && exit 3
        {shlex.join(entry)} init
        {shlex.join([*entry, *command])} &
        tries=60
        until {shlex.join(health)}; do tries=$((tries - 1)); [ $tries -gt 0 ]; sleep 0.5; done
        echo healthy as $(id -u)
        kill -TERM $!
        wait $!
    """
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o700)
    os.chown(volume, UID, UID)
    done = subprocess.run(
        [*_sandbox(volume), "sh", "-c", script], check=False, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"healthy as {UID}" in done.stdout
    assert {path.stat().st_uid for path in volume.rglob("*")} == {UID}


def _sandbox(volume: Path) -> list[str]:
    """The root as it is and read-only; the volume; a network and processes of its own, and the image's user."""
    variables = dict(re.findall(r"(\w+)=(\S+)", " ".join(instructions("ENV")[1:])))
    variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    python = Path(sys.base_prefix)  # it may lie in root's home, which others may not enter
    folders = [folder for folder in reversed(python.parents) if folder.is_relative_to("/root/")]
    opened = [word for folder in folders for word in ("--perms", "0755", "--dir", folder)]
    return [
        *("bwrap", "--die-with-parent", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--clearenv", "--cap-add", "ALL"),
        *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
        *("--tmpfs", "/root", *opened, "--ro-bind", python, python),
        *("--tmpfs", "/var/lib", "--bind", volume, "/var/lib/bulkcert"),
        *("--remount-ro", "/var/lib", "--remount-ro", "/root"),
        *(word for name, value in variables.items() for word in ("--setenv", name, value)),
        *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"),
        *("--bounding-set=-all", "--inh-caps=-all"),
    ]
