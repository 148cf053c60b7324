"""The web process keeps the environment out of requests, and knows when the service stops."""

import os
import signal
import subprocess
import sys

import pytest

from tests.paths import ROOT

PROGRAM = """
import atexit, os, signal, sys, time
signal.alarm(20)  # a test that is red does not hang
from bulkcert.processes import web
from bulkcert.processes.draining import is_draining
web.create_gateway = lambda **_: "app"
atexit.register(print, "the interpreter ends", flush=True)
signal.signal(signal.SIGTERM, lambda *_: None)
assert web.load_app({parent}, 60) == "app"
print(sorted(os.environ), flush=True)
signal.signal(signal.SIGTERM, lambda *_: None)  # the server sets its own when the app is there
signal.signal(signal.SIGUSR1, lambda *_: None)
print(is_draining(), flush=True)
while not is_draining():
    time.sleep(0.01)
print("draining", flush=True)
"""


def a_web_process(parent: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(parent=parent)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
    )


def test_no_setting_and_nothing_that_looks_like_a_header_stays_in_the_environment():
    secrets = {
        "BULKCERT_DATABASE_URL": "sqlite:///x",
        "HTTP_AUTH_TOKEN": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "TZ": "UTC",
    }
    with a_web_process(os.getpid(), **secrets) as process:
        kept = process.stdout.readline()
        process.kill()

    assert kept == "['PATH', 'TZ']\n"


def test_waits_end_early_from_the_first_signal_on():
    with a_web_process(os.getpid()) as process:
        process.stdout.readline()
        assert process.stdout.readline() == "False\n"
        process.send_signal(signal.SIGUSR1)  # any other signal says nothing
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)

        assert process.stdout.readline() == "draining\n"


def test_a_process_whose_parent_is_gone_stops():
    with a_web_process(1) as process:  # process 1 is never the parent of a test
        assert "draining" in process.stdout.read()


def test_a_process_that_stops_ends_before_its_interpreter_ends_the_threads_of_the_server():
    """Rust takes their end for a panic, which is plain text in the log."""
    with a_web_process(os.getpid()) as process:
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "draining\n"

    assert process.returncode == 0
