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


def by_keytool(directory: Path, common_name: str, password: str, *key_options: str) -> bytes:
    """Java's keytool, which makes key (by default on P-256) and self-signed certificate itself."""
    require("keytool")
    directory.mkdir(parents=True, exist_ok=True)
    out = directory / "out.p12"
    (directory / "password").write_text(password)
    run(
        "keytool", "-genkeypair", "-keystore", out, "-storetype", "PKCS12", "-storepass:file", directory / "password",
        "-alias", "device", *(key_options or ("-keyalg", "EC", "-groupname", "secp256r1")), "-validity", "365",
        "-dname", f"CN={common_name}", "-ext", "eku=clientAuth",
    )  # fmt: skip
    return out.read_bytes()


def by_certtool(directory: Path, common_name: str, password: str, cipher: str = "aes-256") -> bytes:
    """GnuTLS's `certtool --to-p12`. It takes the password as an argument or from a terminal alone."""
    require("certtool")
    key, certificate, ca = pem_files(directory, common_name)
    out = directory / "out.p12"
    run(
        "certtool", "--to-p12", "--load-privkey", key, "--load-certificate", certificate, "--load-ca-certificate", ca,
        "--p12-name", common_name, "--password", password, "--pkcs-cipher", cipher, "--outder", "--outfile", out,
    )  # fmt: skip
    return out.read_bytes()


def by_pk12util(directory: Path, common_name: str, password: str, *options: str) -> bytes:
    """NSS's `pk12util -o`, out of a database of its own that was filled from a file of openssl's."""
    for tool in ("pk12util", "certutil"):
        require(tool)
    (directory / "source").mkdir(parents=True)
    source = directory / "source" / "in.p12"
    source.write_bytes(by_openssl(directory, common_name, password))
    (directory / "password").write_text(password + "\n")
    database, out = f"sql:{directory}", directory / "out.p12"
    with_password = ("-d", database, "-w", directory / "password")
    run("certutil", "-N", "-d", database, "--empty-password")
    run("pk12util", "-i", source, *with_password)
    run("pk12util", "-o", out, "-n", common_name, *with_password, *options)
    return out.read_bytes()


Maker = Callable[[Path, str, str], bytes]
