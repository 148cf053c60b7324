"""The certificate of `init` names what it is told to, is trusted by itself, and is no CA."""

import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result
from cryptography import x509

from bulkcert.cli import main
from bulkcert.cli.tls import fingerprint, make_certificate, missing_names
from bulkcert.errors import BadSettings


def run(data_dir: Path, *arguments: str) -> Result:
    environment = {"BULKCERT_DATA_DIR": str(data_dir), "BULKCERT_ADMIN_PASSWORD": "correct horse battery"}
    return CliRunner(env=environment).invoke(main.commands["init"], arguments)


def names_in(certificate_file: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {str(name.value) for name in extension.value}


def test_init_puts_host_names_into_the_certificate(tmp_path: Path) -> None:
    done = run(tmp_path / "data", "--host-name", "Certs.example.com", "--host-name", "192.0.2.5")

    assert done.exit_code == 0, done.output
    expected = {"localhost", "127.0.0.1", "::1", "certs.example.com", "192.0.2.5"}
    assert expected <= names_in(tmp_path / "data" / "tls" / "certificate.pem")


def test_a_host_name_that_an_earlier_certificate_does_not_have_is_told(tmp_path: Path) -> None:
    run(tmp_path / "data", "--host-name", "certs.example.com")
    again = run(tmp_path / "data", "--host-name", "CERTS.example.com")
    other = run(tmp_path / "data", "--host-name", "other.example.com")

    assert again.exit_code == 0, again.output
    assert other.exit_code == 1
    assert "does not name other.example.com" in other.output
    assert str(tmp_path / "data" / "tls" / "certificate.pem") in other.output


@pytest.mark.parametrize(
    "name", ["bücher.example", "a b", "", "-a.example", "https://a.example", "*.example.com"]
)
def test_a_host_name_of_another_form_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    assert run(tmp_path / "data", "--host-name", name).exit_code == 2
    assert not (tmp_path / "data").exists()


def test_the_certificate_is_no_ca(tmp_path: Path) -> None:
    make_certificate(tmp_path, [])
    certificate = x509.load_pem_x509_certificate((tmp_path / "certificate.pem").read_bytes())

    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path):
    """An HTTPS server with the certificate; gives its port."""
    make_certificate(tmp_path, [])
    server = HTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.live  # the clients go by the real clock
def test_clients_trust_the_certificate_as_their_only_anchor(server: int, tmp_path: Path) -> None:
    url, anchor = f"https://localhost:{server}/", str(tmp_path / "certificate.pem")

    assert requests.get(url, verify=anchor, timeout=10).status_code == 204
    curl = ["curl", "--silent", "--fail", "--cacert", anchor, url]
    assert subprocess.run(curl, check=False).returncode == 0
    strict = ssl.create_default_context(cafile=anchor)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    with strict.wrap_socket(socket.socket(), server_hostname="localhost") as client:
        client.connect(("127.0.0.1", server))


@pytest.mark.live  # openssl goes by the real clock
@pytest.mark.parametrize("options", [["-CAfile"], ["-x509_strict", "-CAfile"]])
def test_openssl_verifies_the_certificate_by_itself(tmp_path: Path, options: list[str]) -> None:
    make_certificate(tmp_path, [])
    path = str(tmp_path / "certificate.pem")
    command = ["openssl", "verify", "-purpose", "sslserver", *options, path, path]

    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_key_without_its_certificate_is_used_again(tmp_path: Path) -> None:
    make_certificate(tmp_path, [])
    key = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "certificate.pem").unlink()

    assert make_certificate(tmp_path, ["certs.example.com"])
    assert (tmp_path / "key.pem").read_bytes() == key
    assert missing_names(tmp_path / "certificate.pem", ["certs.example.com", "b.example"]) == ["b.example"]


def test_a_certificate_without_its_key_is_kept_aside(tmp_path: Path) -> None:
    make_certificate(tmp_path, [])
    before = fingerprint(tmp_path / "certificate.pem")
    (tmp_path / "key.pem").unlink()

    assert make_certificate(tmp_path, [])
    assert (
        fingerprint(tmp_path / "certificate.pem.old") == before != fingerprint(tmp_path / "certificate.pem")
    )
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_foreign_key_without_a_certificate_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("somebody's key")

    with pytest.raises(BadSettings):
        make_certificate(tmp_path, [])
    assert (tmp_path / "key.pem").read_text() == "somebody's key"
