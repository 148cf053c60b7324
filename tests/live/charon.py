"""A strongSwan daemon in a namespace, set up with swanctl."""

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.live.namespaces import ENVIRONMENT, Namespace
from tests.live.service import wait_until

START_SECONDS = 20
COMMAND_SECONDS = 30
FOLDERS = (
    "x509 x509ca x509ocsp x509aa x509ac x509crl pubkey private rsa ecdsa bliss pkcs8 pkcs12"  # swanctl(8)
)

# ESP in user space (kernel-libipsec with a TUN device): kernels without ESP are common where tests run.
# Without the cache no device is let in by a certificate that an earlier one with the same key has shown.
SETTINGS = """
charon-systemd {{
  load_modular = no
  load = random nonce openssl aes sha1 sha2 hmac kdf gcm pem pkcs1 pkcs7 pkcs8 pkcs12 x509 revocation constraints \
pubkey gmp kernel-libipsec kernel-netlink socket-default vici
  cert_cache = no
  plugins {{
    vici {{ socket = "unix://{folder}/vici" }}
    kernel-libipsec {{ allow_peer_ts = yes }}
  }}
  filelog {{ file {{ path = "{folder}/log"
    default = 1
    flush_line = yes }} }}
  journal {{ default = -1 }}
}}
swanctl {{
  load_modular = no
  load = random nonce openssl aes sha1 sha2 hmac pem pkcs1 pkcs7 pkcs8 pkcs12 x509 pubkey gmp
}}
"""


class Charon:
    """A running daemon. Its folder (0700) goes with `cleanup`, files that hold secrets when they are loaded."""

    def __init__(self, namespace: Namespace, cleanup: contextlib.ExitStack) -> None:
        # Not pytest's tmp_path: the path of a Unix socket has 107 characters at most (unix(7)).
        self.folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tunnel-")))
        for kind in FOLDERS.split():
            (self.folder / "swanctl" / kind).mkdir(parents=True)
        (self.folder / "strongswan.conf").write_text(SETTINGS.format(folder=self.folder))
        self._environment = {
            "STRONGSWAN_CONF": str(self.folder / "strongswan.conf"),
            "SWANCTL_DIR": str(self.folder / "swanctl"),
        }
        self._process = namespace.start("charon-systemd", **self._environment)
        wait_until(self._listens, START_SECONDS)

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"charon-systemd ended:\n{self.log}")
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(self.folder / "vici"))
            return True
        return False

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file into swanctl's folder."""
        (self.folder / "swanctl" / name).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )

    def write_cas(self, name: str, certificates: tuple[x509.Certificate, ...]) -> list[str]:
        """Write CA certificates, and give their file names."""
        files = [f"{name}{number}.pem" for number in range(len(certificates))]
        for file, certificate in zip(files, certificates, strict=True):
            self.write(f"x509ca/{file}", certificate.public_bytes(Encoding.PEM))
        return files

    def load(self) -> str:
        """Give the daemon what was written, delete the files that hold secrets, and give what swanctl says."""
        try:
            return self.swanctl("--load-all", "--noprompt")[1]
        finally:
            (self.folder / "swanctl" / "swanctl.conf").unlink()
            for kind in ("private", "pkcs12"):
                shutil.rmtree(self.folder / "swanctl" / kind)

    def swanctl(self, *arguments: str) -> tuple[bool, str]:
        """Run swanctl, and give whether it succeeded and what it printed."""
        answer = subprocess.run(
            ["swanctl", *arguments, "--uri", f"unix://{self.folder}/vici"],
            env=ENVIRONMENT | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return answer.returncode == 0, answer.stdout.decode(errors="replace")

    def association(self, initiator_spi: str = "") -> str:
        """Give the IKE SA that has this SPI (or the only one), with its children, as swanctl prints it for programs."""
        listed = self.swanctl("--list-sas", "--raw")[1].splitlines()
        return next((line for line in listed if f"initiator-spi={initiator_spi}" in line), "")

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""


def quoted(text: str) -> str:
    """A string of strongSwan's settings (strongswan.conf(5))."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
