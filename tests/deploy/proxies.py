"""nginx and HAProxy under the configurations of `deploy/`, on a port of their own, before one service."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.ports import take_port

DEPLOY = ROOT / "deploy"
HEAD_SECONDS, BODY_SECONDS = 1, 4  # the service discards the rest of a refused body for 3 s
"""Instead of 10 and 60, so that a test need not wait for so long."""

_NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    include {folder}/bulkcert.conf;
}}
"""


def _changed(text: str, changes: Mapping[str, str]) -> str:
    """The text with every change made; each must be there to be made."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _nginx(folder: Path, tls: Path, port: int, service_port: int) -> list[str]:
    shutil.copy(DEPLOY / "nginx" / "bulkcert-upstream.conf", folder / "upstream.conf")
    changes = {
        "/etc/nginx/bulkcert-upstream.conf": f"{folder}/upstream.conf",
        "/etc/nginx/tls": str(tls),
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "    listen [::]:443 ssl default_server;\n": "",
        "client_header_timeout 10s": f"client_header_timeout {HEAD_SECONDS}s",
        "client_body_timeout 60s": f"client_body_timeout {BODY_SECONDS}s",
    }
    conf = _changed((DEPLOY / "nginx" / "bulkcert.conf").read_text().replace("# /etc/nginx", "#"), changes)
    (folder / "bulkcert.conf").write_text(conf)
    upstream = (folder / "upstream.conf").read_text()
    (folder / "upstream.conf").write_text(_changed(upstream, {"127.0.0.1:8080": f"127.0.0.1:{service_port}"}))
    user = "user root;\n" if os.geteuid() == 0 else ""  # the folders of a test are its owner's alone
    (folder / "nginx.conf").write_text(user + _NGINX.format(folder=folder))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _haproxy(folder: Path, tls: Path, port: int, service_port: int) -> list[str]:
    (folder / "bulkcert.pem").write_text(
        (tls / "certificate.pem").read_text() + (tls / "key.pem").read_text()
    )
    changes = {
        "/etc/haproxy/tls/bulkcert.pem": f"{folder}/bulkcert.pem",
        "bind :443": f"bind 127.0.0.1:{port}",
        "127.0.0.1:8080": f"127.0.0.1:{service_port}",
        "timeout http-request 10s": f"timeout http-request {HEAD_SECONDS}s",
        "timeout client 60s": f"timeout client {BODY_SECONDS}s",
    }
    text = _changed((DEPLOY / "haproxy" / "haproxy.cfg").read_text(), changes)
    if os.geteuid() != 0:
        text = re.sub(r"^    (user|group) .*\n", "", text, flags=re.MULTILINE)
    (folder / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


COMMANDS = {"nginx": _nginx, "haproxy": _haproxy}
CHECKS = {"nginx": "-t", "haproxy": "-c"}


def needs_proxy(name: str) -> None:
    """Skip the test where the proxy is not installed; Debian keeps both away from a user's PATH."""
    os.environ["PATH"] = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    if not shutil.which(name):
        pytest.skip(f"needs {name}")


@contextlib.contextmanager
def running_proxy(name: str, folder: Path, tls: Path, service_port: int) -> Iterator[int]:
    """Start a proxy after it has found its configuration good, and yield its port.

    tls: the folder of certificate.pem and key.pem.
    """
    port = take_port()
    command = COMMANDS[name](folder, tls, port, service_port)
    checked = subprocess.run(
        [*command, CHECKS[name]], check=False, capture_output=True, text=True, timeout=30
    )
    assert checked.returncode == 0, checked.stderr
    assert not re.search(r"warn", checked.stderr, re.IGNORECASE), checked.stderr
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_until_it_listens(port, process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
