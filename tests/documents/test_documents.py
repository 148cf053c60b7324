"""The documents that the service serves are the ones of the repository."""

from bulkcert import documents
from tests.paths import ROOT


def test_a_checkout_serves_the_originals() -> None:
    assert documents.read_openapi() == (ROOT / "openapi.yaml").read_bytes()
    assert documents.read_problems() == (ROOT / "docs" / "problems.md").read_bytes()


def test_an_installed_package_serves_its_own_copies(tmp_path, monkeypatch) -> None:
    (tmp_path / "openapi.yaml").write_bytes(b"openapi: 3.1.0")
    (tmp_path / "problems.md").write_bytes(b"# Problems")
    monkeypatch.setattr(documents, "_FOLDER", tmp_path)

    assert documents.read_openapi() == b"openapi: 3.1.0"
    assert documents.read_problems() == b"# Problems"
