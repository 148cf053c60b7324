"""The names in a device certificate that an IKEv2 identifier may be (RFC 7296 §3.5)."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from bulkcert.certificates import Certificate


@dataclass(frozen=True)
class CertificateNames:
    """Names of a subject, in the certificate's order. others: text of further alternative names.

    subject: RFC 4514 text. Extensions that cannot be read count as none, as at import.
    """

    subject: str
    common_name: str | None
    dns: tuple[str, ...]
    email: tuple[str, ...]
    others: tuple[str, ...]

    def hold(self, identifier: str) -> bool:
        """Tell whether a server finds an identifier in the certificate.

        Names of hosts are compared without regard to case (RFC 4343), all else to the letter.
        """
        if identifier.lower() in {name.lower() for name in self.dns}:
            return True
        return identifier in {self.subject, self.common_name, *self.email, *self.others}


def read_names(certificate: Certificate) -> CertificateNames:
    """Read the names of a certificate that was found sound when it was imported."""
    facts = certificate.facts
    names = _alternative_names(certificate.der)
    dns, email = _values(names, x509.DNSName), _values(names, x509.RFC822Name)
    others = tuple(text for text in facts.subject_alternative_names if text not in {*dns, *email})
    return CertificateNames(facts.subject.text, facts.subject.common_name, dns, email, others)


def _alternative_names(der: bytes) -> Sequence[x509.GeneralName]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            extensions = x509.load_der_x509_certificate(der).extensions
            return list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except (
            ValueError, TypeError, KeyError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
            x509.ExtensionNotFound,
        ):  # fmt: skip
            return []


def _values(
    names: Sequence[x509.GeneralName], kind: type[x509.DNSName] | type[x509.RFC822Name]
) -> tuple[str, ...]:  # fmt: skip
    return tuple(name.value for name in names if isinstance(name, kind))
