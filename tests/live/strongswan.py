"""A real IKEv2 tunnel on this machine: a VPN gateway, and a device configured only from a `.mobileconfig`.

    needs_strongswan()
    with Gateway(ca_pem, server_certificate_pem, server_key_pem, "vpn.example.test") as gateway:
        with gateway.client(profile) as device:
            result = device.connect()
            assert result.established, result.log
            assert device.tcp_echo()

Gateway and device are strongSwan daemons (charon-systemd), each in a network namespace of its own; a veth pair
joins the two and nothing leaves them. One device at a time; a gateway serves many after each other.

What strongSwan does not show: it reads more forms of PKCS#12 than Apple devices do, and the Diffie-Hellman group
of the child SA is used only when that SA is renewed (RFC 7296, 1.2).
"""

import contextlib
import functools
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.live.charon import Charon, quoted
from tests.live.namespaces import ENVIRONMENT, TOOLS, Namespace, is_permitted
from tests.live.vpn_profile import Tunnel, read_profile

CONNECT_SECONDS = 20
GATEWAY_ADDRESS, DEVICE_ADDRESS = "192.0.2.1", "192.0.2.2"  # RFC 5737
BEHIND, BEHIND_NETWORK, BEHIND_PORT = "10.99.0.1", "10.99.0.0/24", 8099  # reachable through the tunnel only
POOL = "10.98.0.0/24"  # addresses of devices inside it
ECHO_BYTES = 5000  # several packets
PLUGINS = Path("/usr/lib/ipsec/plugins")


def needs_strongswan() -> None:
    """Skip the test, by the name of what is missing, where no tunnel can be made."""
    if missing := _missing():
        pytest.skip(f"needs {missing}")


@functools.cache
def _missing() -> str:
    for tool in ("charon-systemd", "swanctl", *TOOLS):
        if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None:
            return tool
    for plugin in ("kernel-libipsec", "openssl", "gcm"):
        if not (PLUGINS / f"libstrongswan-{plugin}.so").exists():
            return f"strongSwan's plugin {plugin}"
    if not is_permitted("mount --bind /dev/null /etc/hosts && ip link add veth8 type veth peer name veth9"):
        return "network namespaces"
    return "" if is_permitted("ip tuntap add tun9 mode tun") else "TUN devices"


class Gateway:
    """A VPN gateway that lets in every device whose certificate leads to `ca_pem` and holds its identifier.

    `ca_pem` is one or more CA certificates that it trusts for devices. `server_certificate_pem` is its own, with
    any intermediates after it; `server_id` must be in it. `host_name` (`server_id` unless given) is the one name
    that devices can resolve, to GATEWAY_ADDRESS. The proposals are in the words of swanctl.conf(5).
    """

    def __init__(
        self,
        ca_pem: bytes,
        server_certificate_pem: bytes,
        server_key_pem: bytes,
        server_id: str,
        *,
        host_name: str | None = None,
        ike: str = "aes256-sha256-modp2048",
        esp: str = "aes256-sha256",
    ) -> None:
        self._trusted = x509.load_pem_x509_certificates(ca_pem)
        self._certificates = x509.load_pem_x509_certificates(server_certificate_pem)
        self._key = server_key_pem
        self._server_id, self._host_name = server_id, host_name or server_id
        self._ike, self._esp = ike, esp

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            self.hosts = Path(cleanup.enter_context(tempfile.TemporaryDirectory())) / "hosts"
            self.hosts.write_text(f"127.0.0.1 localhost\n{GATEWAY_ADDRESS} {self._host_name}\n")
            self.namespace = Namespace(self.hosts, cleanup)
            self.namespace.ip(f"address add {BEHIND}/32 dev lo")
            self.charon = Charon(self.namespace, cleanup)
            self._configure()
            self.namespace.start(sys.executable, "-c", ECHO_SERVER, ready="listening")
            self._cleanup = cleanup.pop_all()
        return self

    def _configure(self) -> None:
        own, *intermediates = self._certificates
        trusted = self.charon.write_cas("trusted", tuple(self._trusted))
        self.charon.write_cas("intermediate", tuple(intermediates))
        self.charon.write("x509/own.pem", own.public_bytes(Encoding.PEM))
        self.charon.write("private/own.key", self._key)
        self.charon.write(
            "swanctl.conf",
            f"""connections {{ gateway {{
                version = 2
                local_addrs = {GATEWAY_ADDRESS}
                proposals = {self._ike}
                pools = pool
                local {{ auth = pubkey
                         certs = own.pem
                         id = {quoted(self._server_id)} }}
                remote {{ auth = pubkey
                          cacerts = {", ".join(trusted)} }}
                children {{ behind {{ local_ts = {BEHIND_NETWORK}
                                      esp_proposals = {self._esp} }} }}
            }} }}
            pools {{ pool {{ addrs = {POOL} }} }}""",
        )
        said = self.charon.load()
        if "loaded connection 'gateway'" not in said or not re.search(r"loaded \w+ key from", said):
            raise RuntimeError(f"the gateway was not configured:\n{said}")

    def client(self, profile: bytes, tunnel: int = 0) -> "Client":
        """Give the device that this unsigned profile configures; `tunnel` is for AlwaysOn with several."""
        return Client(self, read_profile(profile, tunnel))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()


@dataclass(frozen=True)
class Result:
    """Whether both sides hold the IKE SA and its child, and the end of what both sides logged (no secrets)."""

    established: bool
    log: str


class Client:
    """A device. All that it knows is the profile; made by `Gateway.client`."""

    def __init__(self, gateway: Gateway, tunnel: Tunnel) -> None:
        self._gateway, self._tunnel = gateway, tunnel

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            self.namespace = Namespace(self._gateway.hosts, cleanup)
            self._join(self._gateway.namespace, cleanup)
            self.charon = Charon(self.namespace, cleanup)
            self._configure()
            self._loaded = self.charon.load()
            self._cleanup = cleanup.pop_all()
        return self

    def _join(self, gateway: Namespace, cleanup: contextlib.ExitStack) -> None:
        gateway.ip(f"link add outside type veth peer name outside netns {self.namespace.holder_pid}")
        cleanup.callback(gateway.ip, "link delete outside")  # the kernel itself would do it some time later
        for namespace, address in ((gateway, GATEWAY_ADDRESS), (self.namespace, DEVICE_ADDRESS)):
            namespace.ip(f"address add {address}/24 dev outside")
            namespace.ip("link set outside up")

    def _configure(self) -> None:
        tunnel = self._tunnel
        roots = self.charon.write_cas("root", tunnel.trusted_roots)
        self.charon.write_cas("intermediate", tunnel.intermediates)
        self.charon.write("pkcs12/identity.p12", tunnel.pkcs12)
        # Only the profile's roots count: strongSwan by itself would trust a CA inside the PKCS#12 as well.
        trust = f"cacerts = {', '.join(roots)}" if roots else 'ca_id = "CN=the profile has no trusted root"'
        self.charon.write(
            "swanctl.conf",
            f"""connections {{ device {{
                version = 2
                remote_addrs = {quoted(tunnel.remote_address)}
                vips = 0.0.0.0
                proposals = {tunnel.ike_proposal}
                rekey_time = {tunnel.ike_minutes}m
                dpd_delay = {tunnel.dpd_seconds}s
                mobike = {"yes" if tunnel.mobike else "no"}
                local {{ auth = pubkey
                         id = {quoted(tunnel.local_identifier)} }}
                remote {{ auth = pubkey
                          id = {quoted(tunnel.remote_identifier)}
                          {trust} }}
                children {{ all {{ remote_ts = 0.0.0.0/0
                                   rekey_time = {tunnel.child_minutes}m
                                   esp_proposals = {tunnel.esp_proposal} }} }}
            }} }}
            secrets {{ pkcs12-identity {{ file = identity.p12
                                          secret = {quoted(tunnel.password)} }} }}""",
        )

    def connect(self) -> Result:
        """Set the tunnel up, within CONNECT_SECONDS."""
        before = len(self._gateway.charon.log)  # what it said to devices before this one
        ended_well, _ = self.charon.swanctl("--initiate", "--child", "all", "--timeout", str(CONNECT_SECONDS))
        own, gateways = self._associations()
        established = ended_well and all(
            "state=ESTABLISHED" in side and "state=INSTALLED" in side for side in (own, gateways)
        )
        gateway_log = _tail(self._gateway.charon.log[before:])
        return Result(
            established, "\n".join([self._loaded, _tail(self.charon.log), "-- gateway:", gateway_log])
        )

    def tcp_echo(self) -> bool:
        """Whether random bytes came back from behind the gateway, and went both ways inside the child SA."""
        sent = os.urandom(ECHO_BYTES)
        before = self._traffic()
        answer = self.namespace.run(sys.executable, "-c", ECHO_CLIENT, stdin=sent)
        grown = [after - earlier for after, earlier in zip(self._traffic(), before, strict=True)]
        return answer.stdout == sent and min(grown) >= ECHO_BYTES

    def _traffic(self) -> list[int]:
        """Bytes in and out of this device's child SA, as the gateway counts them."""
        gateways = self._associations()[1]
        return [sum(map(int, re.findall(rf"bytes-{way}=(\d+)", gateways))) for way in ("in", "out")]

    def _associations(self) -> tuple[str, str]:
        """This device's SA as both sides see it: the initiator's SPI is the same on both."""
        own = self.charon.association()
        spi = re.search(r"initiator-spi=(\w+)", own)
        return own, self._gateway.charon.association(spi[1]) if spi else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()


ECHO_SERVER = f"""
import socket
with socket.create_server(({BEHIND!r}, {BEHIND_PORT})) as server:
    print("listening", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            while data := connection.recv(65536):
                connection.sendall(data)
"""
ECHO_CLIENT = f"""
import socket, sys
with socket.create_connection(({BEHIND!r}, {BEHIND_PORT}), 5) as connection:
    connection.sendall(sys.stdin.buffer.read())
    connection.shutdown(socket.SHUT_WR)
    while data := connection.recv(65536):
        sys.stdout.buffer.write(data)
"""


def _tail(log: str) -> str:
    return "\n".join(log.splitlines()[-40:])
