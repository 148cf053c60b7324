"""The names in a device certificate that an IKEv2 identifier may be (RFC 7296 §3.5)."""

from collections.abc import Iterable
from dataclasses import dataclass

from bulkcert.formats.x509 import AlternativeName, NameKind, alternative_names
from bulkcert.values.certificates import Certificate


@dataclass(frozen=True)
class CertificateNames:
    """Names of a subject, in the certificate's order. others: text of further alternative names.

    subject: RFC 4514 text. A name that cannot be read counts as none, as at import.
    """

    subject: str
    common_name: str | None
    dns: tuple[str, ...]
    email: tuple[str, ...]
    others: tuple[str, ...]

    def hold(self, identifier: str) -> bool:
        """Return whether a server finds an identifier in the certificate.

        Names of hosts are compared without regard to case (RFC 4343), all else to the letter.
        """
        if identifier.lower() in {name.lower() for name in self.dns}:
            return True
        return identifier in {self.subject, self.common_name, *self.email, *self.others}


def read_names(certificate: Certificate) -> CertificateNames:
    """Return the names of a certificate that was found sound when it was imported."""
    facts = certificate.facts
    names = alternative_names(certificate)
    dns, email = _texts(names, NameKind.DNS), _texts(names, NameKind.EMAIL)
    others = tuple(text for text in facts.subject_alternative_names if text not in {*dns, *email})
    return CertificateNames(facts.subject.text, facts.subject.common_name, dns, email, others)


def _texts(names: Iterable[AlternativeName], kind: NameKind) -> tuple[str, ...]:
    return tuple(name.text for name in names if name.kind is kind)
