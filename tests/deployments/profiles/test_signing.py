import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from bulkcert.deployments.profiles.profile import ProfileMaker
from bulkcert.deployments.profiles.signing import ProfileSigner
from bulkcert.errors import BadSettings
from bulkcert.values.secret import Secret
from tests.builders import NOW, PrivateKey, a_ca, a_certificate
from tests.deployments.profiles.apple_schema import read_profile
from tests.deployments.profiles.devices import a_device, a_key, pkcs8
from tests.deployments.profiles.test_profile import a_policy
from tests.live.witnesses import require

PEM = serialization.Encoding.PEM


def pem(key: PrivateKey, password: bytes | None = None) -> Secret:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return Secret(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption))


def certificates(key: PrivateKey) -> bytes:
    return a_certificate(key, "Profile signer (test only)").public_bytes(PEM) + a_ca()[0].public_bytes(PEM)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RSA", "ECDSA256"])
def test_openssl_accepts_the_signature_and_finds_the_profile_inside(tmp_path: Path, kind: str) -> None:
    require("openssl")
    signer = ProfileSigner.from_pem(pem(a_key(kind)), certificates(a_key(kind)))
    maker = ProfileMaker(lambda: NOW, bytes, signer)
    signed = maker.make(a_policy(), "p1", a_device(), pkcs8(a_key("ECDSA256"))).reveal()
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "ca.pem").write_bytes(a_ca()[0].public_bytes(PEM))
    verify = [
        "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any",
        "-in", tmp_path / "signed", "-CAfile", tmp_path / "ca.pem", "-out", tmp_path / "profile",
        "-certsout", tmp_path / "certificates.pem", "-attime", str(int(NOW.timestamp())),
    ]  # fmt: skip
    subprocess.run(verify, check=True, capture_output=True)

    assert read_profile((tmp_path / "profile").read_bytes()).faults == []
    assert (tmp_path / "certificates.pem").read_text().count("BEGIN CERTIFICATE") == 2

    place = signed.index(b"Fleet VPN")
    (tmp_path / "signed").write_bytes(signed[:place] + b"f" + signed[place + 1 :])

    assert subprocess.run(verify, check=False, capture_output=True).returncode != 0


def test_what_is_signed_is_kept_to_the_byte() -> None:
    signer = ProfileSigner.from_pem(pem(a_key("ECDSA256")), certificates(a_key("ECDSA256")))
    content = b"one\ntwo\r\nthree\0"

    assert content in signer.sign(Secret(content)).reveal()


@pytest.mark.parametrize(
    ("private_key", "chain", "reason"),
    [
        (Secret(b"no key"), certificates(a_key("RSA")), "cannot be read"),
        (pem(a_key("RSA")), b"no certificate", "cannot be read"),
        (pem(a_key("RSA")), b"", "cannot be read"),
        (pem(a_key("RSA"), b"a password"), certificates(a_key("RSA")), "cannot be read"),
        (pem(a_key("RSA")), certificates(a_key("ECDSA256")), "does not belong"),
        (pem(ed := ed25519.Ed25519PrivateKey.generate()), certificates(ed), "neither RSA nor EC"),
    ],
    ids=["key", "certificate", "nothing", "password", "another key", "Ed25519"],
)
def test_a_key_or_certificate_that_cannot_sign_is_refused(
    private_key: Secret, chain: bytes, reason: str
) -> None:
    with pytest.raises(BadSettings, match=reason) as refused:
        ProfileSigner.from_pem(private_key, chain)

    assert refused.value.__cause__ is None
