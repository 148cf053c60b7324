"""The certificate and key of the HTTPS server: those that `init` makes, and their check at the start."""

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bulkcert.config import Config
from bulkcert.errors import BadSettings, Fault, NoAccess, TlsFilesMissing, reason_of
from bulkcert.wiring.installation import is_there, naming_data_dir

_VALID = dt.timedelta(days=825)
"""Apple devices refuse TLS certificates that are valid for longer (support.apple.com/103769)."""

_SETTINGS = {"certificate": "BULKCERT_TLS_CERTIFICATE_FILE", "key": "BULKCERT_TLS_KEY_FILE"}


def make_certificate(directory: Path, host_names: Sequence[str]) -> bool:
    """Make certificate.pem and key.pem where one of them is missing; returns whether it did.

    The certificate names localhost, 127.0.0.1, ::1 and the host names (DNS names or IP addresses). Clients
    trust it by itself (`curl --cacert`). It is no CA, so its key issues no certificates for other names.
    A key that is there is used again; a certificate without its key is kept as certificate.pem.old.
    """
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    has_key = is_there(key_file)
    if is_there(certificate_file) and has_key:
        return False
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _read_key(key_file) if has_key else ec.generate_private_key(ec.SECP256R1())
    if not has_key:
        if is_there(certificate_file):
            certificate_file.rename(certificate_file.with_name("certificate.pem.old"))
        _write(key_file, _key_pem(key), 0o600)
    _write(certificate_file, _self_signed(key, host_names).public_bytes(serialization.Encoding.PEM), 0o644)
    return True


def fingerprint(certificate_file: Path) -> str:
    """Return the SHA-256 fingerprint of a PEM certificate, as browsers show it."""
    return _load(certificate_file).fingerprint(hashes.SHA256()).hex(":").upper()


def missing_names(certificate_file: Path, host_names: Sequence[str]) -> list[str]:
    """List the host names that a PEM certificate does not name."""
    try:
        extension = _load(certificate_file).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return list(host_names)
    named = {str(name.value).lower() for name in extension.value}
    return [name for name in host_names if str(_general_name(name).value) not in named]


def check_tls_files(config: Config) -> tuple[Path, Path]:
    """Return the paths of the HTTPS server's certificate and key, once they are sure to work.

    Raises `TlsFilesMissing` or `NoAccess` for those in the data directory, and `BadSettings` for those that a
    setting names or that do not belong together.
    """
    certificate, key = config.tls_certificate_file, config.tls_key_file
    assert certificate is not None
    assert key is not None
    for what, path in (("certificate", certificate), ("key", key)):
        _check_readable(config, what, path)
    try:
        # The empty password: without one, OpenSSL would ask for it at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError):
        detail = f"{certificate} holds no PEM certificate with its unencrypted PEM key in {key}"
        raise _bad_setting("certificate", detail) from None
    return certificate, key


def _check_readable(config: Config, what: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as failure:
        reason = reason_of(failure)
        if _SETTINGS[what] in config.variables:
            raise _bad_setting(what, f"{path}: {reason}") from None
        with naming_data_dir(config):
            if isinstance(failure, FileNotFoundError | NotADirectoryError):
                raise TlsFilesMissing(f"There is no {what} for the HTTPS server at {path}.") from None
            raise NoAccess(f"The {what} of the HTTPS server, {path}, cannot be read: {reason}.") from None


def _bad_setting(what: str, detail: str) -> BadSettings:
    fault = Fault(_SETTINGS[what], detail)
    return BadSettings("The HTTPS server has no usable certificate.", (fault,))


def _load(certificate_file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except ValueError:
        raise _bad_setting("certificate", f"{certificate_file} holds no PEM certificate") from None


def _read_key(key_file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (ValueError, TypeError):  # TypeError: the key is encrypted
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        detail = f"{key_file} has no certificate beside it, and is no key that `bulkcert init` made"
        raise _bad_setting("key", detail)
    return key


def _self_signed(key: ec.EllipticCurvePrivateKey, host_names: Sequence[str]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bulkcert")])
    now = dt.datetime.now(dt.UTC)
    names = [_general_name(host) for host in dict.fromkeys(("localhost", "127.0.0.1", "::1", *host_names))]
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(usage, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host.lower())


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that has its mode from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
