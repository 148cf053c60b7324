"""Promise P3: what was answered with 2xx has reached the disk before the answer left."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.builders import a_bundle
from tests.live.service import LIVE, LiveService, wait_until

pytestmark = LIVE


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/imports", {"files": {"bundle": a_bundle()}, "headers": {"Prefer": "respond-async"}}),
        ("/api/v1/deletions", {"json": {"identity_type": "SERIAL_NUMBER", "identities": ["A12BC3D4EFGH"]}}),
    ],
)
def test_an_fsync_stands_before_the_answer_of_a_write(tmp_path: Path, path: str, body: dict) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace = tmp_path / "trace"
    if "files" in body:
        body = body | {"data": {"identity_type": "SERIAL_NUMBER"}}
    with LiveService(tmp_path / "data", options=("--workers", "0")) as service:
        assert service.token
        calls = "fsync,fdatasync,write,writev,sendto,sendmsg"
        watch = [
            "strace",
            "-f",
            "-ttt",
            "-y",
            "-e",
            f"trace={calls}",
            "-o",
            str(trace),
            "-p",
            str(service.web_pid),
        ]
        with subprocess.Popen(watch, stderr=subprocess.PIPE) as strace:
            assert strace.stderr is not None
            if b"attach" not in strace.stderr.readline():
                pytest.skip("needs permission to trace")
            asked = time.time()
            answer = service.request("POST", path, **body)
            answered = time.time()
            wait_until(lambda: "fdatasync" in trace.read_text() or "fsync" in trace.read_text())
            strace.terminate()

    assert answer.status_code in {201, 202}
    lines = re.findall(r"^\d+ +([\d.]+) (\w+)\(\d+<([^>]*)>", trace.read_text(), re.MULTILINE)
    synced = [
        float(at) for at, call, file in lines if "sync" in call and "sqlite3" in file and asked <= float(at)
    ]
    sent = [
        float(at) for at, call, file in lines if "sync" not in call and file.startswith(("socket", "TCP"))
    ]
    last_answer = max(at for at in sent if at <= answered)
    assert synced
    assert min(synced) < last_answer
