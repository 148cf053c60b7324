#!/usr/bin/env python3
"""Install the locks as `make` does, with old and new pip, beside a newer release of every package.

Each pip gets an environment of its own, thrown away at the end. Beside PyPI's files it is offered an empty
wheel of version 9999 of every locked package, which must change nothing. Before that, a lock without extras
is installed with dependencies, which must fail: else the wheels of version 9999 would prove nothing.

    .ci/check_locks.py [PYTHON]
"""

import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
PIPS = ("23.0.1", "23.2.1", "")  # of Python 3.11's Debian, of python.org's 3.11.7 and 3.12.1, and the newest
INSTALL = ("install", "--quiet", "--no-compile", "--disable-pip-version-check", "--require-hashes")
LATER = "9999"


def main(python: str) -> None:
    """Install everything with every pip; ends with status 1 at the first surprise."""
    with tempfile.TemporaryDirectory(prefix="bulkcert-locks-") as directory:
        place = Path(directory)
        wheels = place / "wheels"
        wheels.mkdir()
        for name in locked(LOCKS[-1]):
            write_empty_wheel(wheels, name)
        pips = [make_pip(python, place / str(number), release) for number, release in enumerate(PIPS)]
        check_control(pips[1], wheels, place)
        for pip in pips:
            print(run(str(pip), "-m", "pip", "--version").split(" from")[0], flush=True)
            for lock in LOCKS:
                check_lock(pip, wheels, lock)


def make_pip(python: str, environment: Path, release: str) -> Path:
    """Make an environment with a release of pip (empty: the newest), and return its interpreter."""
    run(python, "-m", "venv", str(environment))
    interpreter = environment / "bin" / "python"
    wanted = [f"pip=={release}"] if release else ["--upgrade", "pip"]
    run(str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted)
    return interpreter


def check_lock(pip: Path, wheels: Path, lock: Path) -> None:
    """Install a lock, and compare what is there then with what it names."""
    began = time.monotonic()
    run(str(pip), "-m", "pip", *INSTALL, "--no-deps", "--find-links", str(wheels), "-r", str(lock))
    present = dict(re.findall(r"^(\S+)==(\S+)$", run(str(pip), "-m", "pip", "freeze", "--all"), re.MULTILINE))
    present = {normal(name): version for name, version in present.items()}
    for_some = {normal(name) for name in re.findall(r"^([\w.-]+)==\S+ ;", lock.read_text(), re.MULTILINE)}
    wrong = {
        name: present.get(name, "missing")
        for name, version in locked(lock).items()
        if present.get(name) != version and not (name in for_some and name not in present)
    }
    if wrong:
        sys.exit(f"{lock.name}: not what the lock names: {wrong}")
    print(f"  {lock.name}: {len(present)} packages, {time.monotonic() - began:.0f} s", flush=True)


def check_control(pip: Path, wheels: Path, place: Path) -> None:
    """Take away what protects a lock; raises `SystemExit` where pip does not mind."""
    bare = place / "bare.lock"
    bare.write_text(re.sub(r"\[.*?\]==", "==", LOCKS[-1].read_text()))
    options = (*INSTALL, "--dry-run", "--ignore-installed", "--find-links", str(wheels), "-r", str(bare))
    command = [str(pip), "-m", "pip", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 or "--require-hashes" not in done.stderr:
        sys.exit(f"a lock without extras was installed with its dependencies:\n{done.stderr}")
    print("a lock without extras, with dependencies: refused, as it must be", flush=True)


def locked(lock: Path) -> dict[str, str]:
    """The version of each package of a lock, by its normal name."""
    pairs = re.findall(r"^([\w.-]+)(?:\[.*?\])?==(\S+)", lock.read_text(), re.MULTILINE)
    return {normal(name): version for name, version in pairs}


def normal(name: str) -> str:
    """Return a package's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_empty_wheel(folder: Path, name: str) -> None:
    """Write a wheel that holds nothing but metadata (PEP 427)."""
    stem = f"{name.replace('-', '_')}-{LATER}"
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {LATER}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: check_locks\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [
        f"{stem}.dist-info/{file},sha256={digest(content)},{len(content)}" for file, content in files.items()
    ]
    files["RECORD"] = "\n".join([*lines, f"{stem}.dist-info/RECORD,,"])
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for file, content in files.items():
            wheel.writestr(f"{stem}.dist-info/{file}", content)


def digest(content: str) -> str:
    """Return a digest as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


def run(*command: str) -> str:
    """Run a command and return what it prints; ends with its errors where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(*sys.argv[1:] or [sys.executable])
