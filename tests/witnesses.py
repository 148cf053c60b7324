"""PKCS#12 files made by other people's tools, in the test that needs them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.builders import PrivateKey, a_ca, a_certificate, an_ec_key


def require(tool: str) -> None:
    """Skip the test by name where a tool is not here."""
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def pem_files(directory: Path, common_name: str, key: PrivateKey | None = None) -> tuple[Path, Path, Path]:
    """Write key, certificate and CA of a new test identity as PEM files."""
    directory.mkdir(parents=True, exist_ok=True)
    key = key or an_ec_key()
    paths = directory / "key.pem", directory / "certificate.pem", directory / "ca.pem"
    paths[0].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    paths[1].write_bytes(a_certificate(key, common_name).public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(a_ca()[0].public_bytes(serialization.Encoding.PEM))
    return paths


def by_openssl(
    directory: Path, common_name: str, password: str, *options: str, key: PrivateKey | None = None
) -> bytes:
    """`openssl pkcs12 -export`; the password goes through a file, as it should."""
    require("openssl")
    key_path, certificate, ca = pem_files(directory, common_name, key)
    (directory / "password").write_text(password)
    out = directory / "out.p12"
    run(
        "openssl", "pkcs12", "-export", *options, "-inkey", key_path, "-in", certificate, "-certfile", ca,
        "-name", common_name, "-passout", f"file:{directory / 'password'}", "-out", out,
    )  # fmt: skip
    return out.read_bytes()


def by_keytool(directory: Path, common_name: str, password: str) -> bytes:
    """Java's keytool, which makes key and (self-signed) certificate itself."""
    require("keytool")
    directory.mkdir(parents=True, exist_ok=True)
    out = directory / "out.p12"
    (directory / "password").write_text(password)
    run(
        "keytool", "-genkeypair", "-keystore", out, "-storetype", "PKCS12", "-storepass:file", directory / "password",
        "-alias", "device", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "365",
        "-dname", f"CN={common_name}", "-ext", "eku=clientAuth",
    )  # fmt: skip
    return out.read_bytes()


Maker = Callable[[Path, str, str], bytes]
